// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {DataRegistry} from "../../src/DataRegistry.sol";
import {InferenceChannels} from "../../src/InferenceChannels.sol";
import {StrataToken} from "../../src/StrataToken.sol";
import {IDataRegistry} from "../../src/interfaces/IDataRegistry.sol";
import {IInferenceChannels} from "../../src/interfaces/IInferenceChannels.sol";
import {FakeRewards} from "../channels/ChannelsMocks.sol";
import {FakeModels, FakeStakes} from "../data/DataMocks.sol";
import {Test} from "../support/Test.sol";
import {vm} from "../support/Vm.sol";

/// @notice Each message about money or data, tried where it was not meant for: on another chain, contract, channel, model, by or for
/// another account, for another amount or content, and again. None is accepted; then it is, where it was meant for.
/// Messages of rounds are in `ReplayRounds.t.sol`.
contract ReplayMatrixTest is Test {
    struct Permit {
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    uint256 private constant FUNDS = 1000e18;
    uint256 private constant FORK = 31_338;
    uint256 private constant MODEL = 1;
    uint256 private constant OTHER_MODEL = 2;
    bytes32 private constant ROOT = keccak256("root");
    bytes32 private constant SALT = keccak256("salt");
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    StrataToken internal token;
    FakeModels internal models;
    InferenceChannels internal channels;
    DataRegistry internal data;
    address internal user;
    uint256 internal userKey;
    address internal mallory;
    uint256 internal malloryKey;
    address internal server = account("server");

    function setUp() public {
        token = _token();
        models = FakeModels(deploy("data/DataMocks.sol:FakeModels", ""));
        models.set(MODEL, account("modeller"), 0);
        models.set(OTHER_MODEL, account("modeller"), 0);
        channels = _channels();
        data = _data();
        (user, userKey) = accountAndKey("user");
        (mallory, malloryKey) = accountAndKey("mallory");
        token.transfer(user, FUNDS);
        token.transfer(mallory, FUNDS);
    }

    // --- vouchers ---

    function test_voucher_whenTriedElsewhere_thenNowhereAccepted() external {
        bytes32 mine = _open(channels, user, MODEL);
        bytes memory voucher = _sign(userKey, channels.voucherHash(mine, MODEL, 5e18));
        bytes memory bad = abi.encodeWithSelector(IInferenceChannels.BadVoucher.selector);

        // another channel of the same user, server and model; of another model; of another user
        _refuses(channels, _open(channels, user, MODEL), 5e18, voucher, bad);
        _refuses(channels, _open(channels, user, OTHER_MODEL), 5e18, voucher, bad);
        _refuses(channels, _open(channels, mallory, MODEL), 5e18, voucher, bad);
        // another amount
        _refuses(channels, mine, 5e18 + 1, voucher, bad);
        _refuses(channels, mine, 5e18 - 1, voucher, bad);
        // signed by another, or for another model than the channel's
        _refuses(channels, mine, 5e18, _sign(malloryKey, channels.voucherHash(mine, MODEL, 5e18)), bad);
        _refuses(channels, mine, 5e18, _sign(userKey, channels.voucherHash(mine, OTHER_MODEL, 5e18)), bad);
        // on a fork of the chain
        uint256 home = block.chainid;
        vm.chainId(FORK);
        _refuses(channels, mine, 5e18, voucher, bad);
        vm.chainId(home);
        // where it was meant for, once
        channels.redeem(mine, 5e18, voucher);
        _refuses(channels, mine, 5e18, voucher, abi.encodeWithSelector(IInferenceChannels.NothingToRedeem.selector));
    }

    function test_voucher_whenTriedOnAnotherContract_thenRefused() external {
        InferenceChannels twin = _channels();
        bytes32 mine = _open(channels, user, MODEL);
        bytes32 there = _open(twin, user, MODEL);
        assertNotEq(mine, there);
        bytes memory bad = abi.encodeWithSelector(IInferenceChannels.BadVoucher.selector);
        _refuses(twin, there, 5e18, _sign(userKey, channels.voucherHash(mine, MODEL, 5e18)), bad);
        // the domain alone tells them apart, even for the same channel id
        _refuses(twin, there, 5e18, _sign(userKey, channels.voucherHash(there, MODEL, 5e18)), bad);
        twin.redeem(there, 5e18, _sign(userKey, twin.voucherHash(there, MODEL, 5e18)));
    }

    function test_voucher_whenTheChannelIsOpenedAgain_thenTheOldOnesAreVoid() external {
        bytes32 first = _open(channels, user, MODEL);
        bytes memory voucher = _sign(userKey, channels.voucherHash(first, MODEL, 5e18));
        vm.prank(server);
        channels.closeByServer(first);
        bytes32 second = _open(channels, user, MODEL);
        assertNotEq(first, second);
        _refuses(channels, second, 5e18, voucher, abi.encodeWithSelector(IInferenceChannels.BadVoucher.selector));
        _refuses(
            channels, first, 5e18, voucher, abi.encodeWithSelector(IInferenceChannels.UnknownChannel.selector, first)
        );
    }

    // --- permits ---

    function test_permit_whenTriedElsewhere_thenNowhereAccepted() external {
        StrataToken twin = _token();
        Permit memory p = _permit(userKey, user, address(channels), FUNDS);
        // another token, owner, spender, amount, time
        _refusesPermit(twin, user, address(channels), FUNDS, type(uint256).max, p);
        _refusesPermit(token, mallory, address(channels), FUNDS, type(uint256).max, p);
        _refusesPermit(token, user, address(data), FUNDS, type(uint256).max, p);
        _refusesPermit(token, user, address(channels), FUNDS + 1, type(uint256).max, p);
        _refusesPermit(token, user, address(channels), FUNDS, type(uint256).max - 1, p);
        // on a fork of the chain
        uint256 home = block.chainid;
        vm.chainId(FORK);
        _refusesPermit(token, user, address(channels), FUNDS, type(uint256).max, p);
        vm.chainId(home);
        // where it was meant for, once
        token.permit(user, address(channels), FUNDS, type(uint256).max, p.v, p.r, p.s);
        assertEq(token.allowance(user, address(channels)), FUNDS);
        _refusesPermit(token, user, address(channels), FUNDS, type(uint256).max, p);
    }

    function test_selfPermit_whenTriedByOrAtAnother_thenNobodyHasAnAllowance() external {
        Permit memory p = _permit(userKey, user, address(channels), FUNDS);
        vm.prank(mallory);
        channels.selfPermit(FUNDS, type(uint256).max, p.v, p.r, p.s);
        vm.prank(user);
        data.selfPermit(FUNDS, type(uint256).max, p.v, p.r, p.s);
        assertEq(token.allowance(mallory, address(channels)), 0);
        assertEq(token.allowance(user, address(channels)), 0);
        assertEq(token.allowance(user, address(data)), 0);
        vm.prank(user);
        channels.selfPermit(FUNDS, type(uint256).max, p.v, p.r, p.s);
        assertEq(token.allowance(user, address(channels)), FUNDS);
    }

    // --- announcements of datasets ---

    function test_announcement_whenTriedElsewhere_thenNowhereAccepted() external {
        DataRegistry twin = _data();
        bytes32 commitment = data.commitmentOf(MODEL, user, ROOT, SALT);
        // the same words announced to both contracts
        data.announce(commitment);
        twin.announce(commitment);
        skipBlocks(1);
        // another sender, model, root, salt, contract
        _refusesData(data, mallory, MODEL, ROOT, SALT);
        _refusesData(data, user, OTHER_MODEL, ROOT, SALT);
        _refusesData(data, user, MODEL, keccak256("other root"), SALT);
        _refusesData(data, user, MODEL, ROOT, keccak256("other salt"));
        _refusesData(twin, user, MODEL, ROOT, SALT);
        // on a fork of the chain
        uint256 home = block.chainid;
        vm.chainId(FORK);
        _refusesData(data, user, MODEL, ROOT, SALT);
        vm.chainId(home);
        // where it was meant for, once
        vm.prank(user);
        data.register(MODEL, ROOT, "CC0-1.0", 1, 1, 1, SALT);
        _refusesData(data, user, MODEL, ROOT, SALT);
    }

    // --- tries ---

    function _refuses(InferenceChannels at, bytes32 id, uint256 amount, bytes memory voucher, bytes memory why) private {
        vm.expectRevert(why);
        at.redeem(id, amount, voucher);
    }

    function _refusesPermit(
        StrataToken at,
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        Permit memory p
    ) private {
        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        at.permit(owner, spender, value, deadline, p.v, p.r, p.s);
    }

    function _refusesData(DataRegistry at, address who, uint256 modelId, bytes32 root, bytes32 salt) private {
        vm.expectRevert(
            abi.encodeWithSelector(IDataRegistry.NotAnnounced.selector, at.commitmentOf(modelId, who, root, salt))
        );
        vm.prank(who);
        at.register(modelId, root, "CC0-1.0", 1, 1, 1, salt);
    }

    // --- the scene ---

    function _open(InferenceChannels at, address who, uint256 modelId) private returns (bytes32 id) {
        vm.startPrank(who);
        token.approve(address(at), 10e18);
        id = at.open(server, modelId, 10e18);
        vm.stopPrank();
    }

    function _permit(uint256 key, address owner, address spender, uint256 value) private view returns (Permit memory p) {
        bytes32 words =
            keccak256(abi.encode(PERMIT, owner, spender, value, token.nonces(owner), type(uint256).max));
        bytes32 hash = keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), words));
        (p.v, p.r, p.s) = vm.sign(key, hash);
    }

    function _sign(uint256 key, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    function _token() private returns (StrataToken) {
        return StrataToken(deploy("StrataToken.sol:StrataToken", abi.encode(address(this))));
    }

    function _channels() private returns (InferenceChannels) {
        FakeRewards rewards = FakeRewards(deploy("channels/ChannelsMocks.sol:FakeRewards", abi.encode(token)));
        bytes memory arguments = abi.encode(token, models, rewards, uint256(50));
        return InferenceChannels(deploy("InferenceChannels.sol:InferenceChannels", arguments));
    }

    function _data() private returns (DataRegistry) {
        FakeStakes stakes = FakeStakes(deploy("data/DataMocks.sol:FakeStakes", ""));
        bytes memory arguments = abi.encode(token, models, stakes, address(this), address(this), uint256(100), uint256(0));
        return DataRegistry(deploy("DataRegistry.sol:DataRegistry", arguments));
    }
}

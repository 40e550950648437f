// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IInferenceChannels} from "./interfaces/IInferenceChannels.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewards} from "./interfaces/IRewards.sol";
import {Permitting} from "./libraries/Permitting.sol";

/// @title Payment channels for inference
/// @dev Described in `IInferenceChannels`.
contract InferenceChannels is IInferenceChannels, EIP712, Multicall, Permitting, ReentrancyGuard {
    using SafeERC20 for IERC20;

    bytes32 private constant VOUCHER_TYPE = keccak256("Voucher(bytes32 channel,uint256 model,uint256 cumulative)");
    uint64 private constant MAX_DELAY = 10_000_000;

    IERC20 private immutable _token;
    IModelRegistry private immutable _models;
    IRewards private immutable _rewards;
    /// @inheritdoc IInferenceChannels
    uint64 public immutable closeDelay;

    uint256 private _opened;
    mapping(bytes32 channelId => Channel) private _channels;

    modifier known(bytes32 channelId) {
        if (_channels[channelId].user == address(0)) revert UnknownChannel(channelId);
        _;
    }

    constructor(IERC20 token, IModelRegistry models, IRewards rewards, uint64 closeDelay_)
        EIP712("StrataInferenceChannels", "1")
        Permitting(address(token))
    {
        if (closeDelay_ == 0 || closeDelay_ > MAX_DELAY) revert BadDelay(closeDelay_);
        _token = token;
        _models = models;
        _rewards = rewards;
        closeDelay = closeDelay_;
    }

    /// @inheritdoc IInferenceChannels
    function open(address server, uint256 modelId, uint256 deposit)
        external
        nonReentrant
        returns (bytes32 channelId)
    {
        if (server == address(0)) revert BadServer();
        if (deposit == 0) revert ZeroAmount();
        _models.parentOf(modelId); // reverts where there is no such model
        channelId =
            keccak256(abi.encode(block.chainid, address(this), msg.sender, server, modelId, ++_opened));
        _channels[channelId] = Channel(msg.sender, server, modelId, deposit, 0, 0);
        emit ChannelOpened(channelId, msg.sender, server, modelId, deposit);
        _token.safeTransferFrom(msg.sender, address(this), deposit);
    }

    /// @inheritdoc IInferenceChannels
    function topUp(bytes32 channelId, uint256 amount) external nonReentrant known(channelId) {
        Channel storage channel = _channels[channelId];
        if (amount == 0) revert ZeroAmount();
        if (channel.closeBlock != 0) revert Closing(channel.closeBlock);
        channel.deposit += amount;
        emit ToppedUp(channelId, amount, channel.deposit);
        _token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IInferenceChannels
    function redeem(bytes32 channelId, uint256 cumulative, bytes calldata signature)
        external
        nonReentrant
        known(channelId)
    {
        Channel storage channel = _channels[channelId];
        if (cumulative > channel.deposit) revert VoucherOverDeposit(cumulative, channel.deposit);
        if (cumulative <= channel.redeemed) revert NothingToRedeem();
        bytes32 hash = voucherHash(channelId, channel.modelId, cumulative);
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, signature);
        if (problem != ECDSA.RecoverError.NoError || signer != channel.user) revert BadVoucher();

        uint256 amount = cumulative - channel.redeemed;
        channel.redeemed = cumulative;
        emit VoucherRedeemed(channelId, channel.modelId, channel.server, cumulative, amount);
        _token.safeTransfer(address(_rewards), amount);
        _rewards.addFee(channel.modelId, channel.server, amount);
    }

    /// @inheritdoc IInferenceChannels
    function startClose(bytes32 channelId) external known(channelId) {
        Channel storage channel = _channels[channelId];
        if (msg.sender != channel.user) revert NotUser(msg.sender);
        if (channel.closeBlock != 0) revert Closing(channel.closeBlock);
        channel.closeBlock = uint64(block.number) + closeDelay;
        emit CloseStarted(channelId, channel.closeBlock);
    }

    /// @inheritdoc IInferenceChannels
    function close(bytes32 channelId) external nonReentrant known(channelId) {
        uint64 closeBlock = _channels[channelId].closeBlock;
        if (closeBlock == 0 || block.number < closeBlock) revert TooEarly(closeBlock);
        _close(channelId);
    }

    /// @inheritdoc IInferenceChannels
    function closeByServer(bytes32 channelId) external nonReentrant known(channelId) {
        if (msg.sender != _channels[channelId].server) revert NotServer(msg.sender);
        _close(channelId);
    }

    /// @inheritdoc IInferenceChannels
    function get(bytes32 channelId) external view returns (Channel memory) {
        return _channels[channelId];
    }

    /// @inheritdoc IInferenceChannels
    function voucherHash(bytes32 channelId, uint256 modelId, uint256 cumulative) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPE, channelId, modelId, cumulative)));
    }

    function _close(bytes32 channelId) private {
        Channel memory channel = _channels[channelId];
        delete _channels[channelId];
        uint256 refund = channel.deposit - channel.redeemed;
        emit ChannelClosed(channelId, refund);
        if (refund > 0) _token.safeTransfer(channel.user, refund);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Payment channels for inference
/// @notice A user locks tokens for one server and model, and signs vouchers of the cumulative amount owed. EIP-712 domain
/// ("StrataInferenceChannels", "1", chainId, this); type `Voucher(bytes32 channel,uint256 model,uint256 cumulative)`.
interface IInferenceChannels {
    /// @notice A channel. Amounts in wei; `closeBlock` is 0 while nobody asked to close it. All zero once it is closed.
    struct Channel {
        address user;
        address server;
        uint256 modelId;
        uint256 deposit;
        uint256 redeemed;
        uint64 closeBlock;
    }

    /// @notice A channel was opened.
    event ChannelOpened(
        bytes32 indexed channelId, address indexed user, address indexed server, uint256 modelId, uint256 deposit
    );
    /// @notice The channel's deposit rose by `amount` to `deposit`.
    event ToppedUp(bytes32 indexed channelId, uint256 amount, uint256 deposit);
    /// @notice A voucher was redeemed; `amount` is what it added to what was redeemed before.
    event VoucherRedeemed(
        bytes32 indexed channelId,
        uint256 indexed modelId,
        address indexed server,
        uint256 cumulative,
        uint256 amount
    );
    /// @notice The user asked to close; the remainder is free from `closeBlock` on.
    event CloseStarted(bytes32 indexed channelId, uint64 closeBlock);
    /// @notice The channel is closed and the user has its remainder.
    event ChannelClosed(bytes32 indexed channelId, uint256 refund);

    /// @notice There is no such channel, or it is closed.
    error UnknownChannel(bytes32 channelId);
    /// @notice The server is the zero address.
    error BadServer();
    /// @notice An amount of zero.
    error ZeroAmount();
    /// @notice The voucher is for more than the deposit.
    error VoucherOverDeposit(uint256 cumulative, uint256 deposit);
    /// @notice The voucher was not signed by the channel's user for this channel, model and amount.
    error BadVoucher();
    /// @notice As much was redeemed before.
    error NothingToRedeem();
    /// @notice Only the channel's user may do this.
    error NotUser(address caller);
    /// @notice Only the channel's server may do this.
    error NotServer(address caller);
    /// @notice The channel is closing.
    error Closing(uint64 closeBlock);
    /// @notice The channel can't be closed yet (`closeBlock` 0: closing was not started).
    error TooEarly(uint64 closeBlock);

    /// @notice The delay that closing is given is zero or longer than 10 million blocks.
    error BadDelay(uint64 blocks);

    /// @notice Locks `deposit` of the caller's tokens (allowance needed) for one server and model.
    function open(address server, uint256 modelId, uint256 deposit) external returns (bytes32 channelId);

    /// @notice Adds to a channel's deposit; anyone may.
    function topUp(bytes32 channelId, uint256 amount) external;

    /// @notice Pays the server what a voucher adds, through `Rewards`; anyone may send it.
    function redeem(bytes32 channelId, uint256 cumulative, bytes calldata signature) external;

    /// @notice Starts the closing; the server has `closeDelay` blocks to redeem. Only the user.
    function startClose(bytes32 channelId) external;

    /// @notice Refunds the user once the delay is over; anyone may send it.
    function close(bytes32 channelId) external;

    /// @notice Refunds the user at once. Only the server.
    function closeByServer(bytes32 channelId) external;

    /// @notice The channel.
    function get(bytes32 channelId) external view returns (Channel memory);

    /// @notice What the user signs for a cumulative amount.
    function voucherHash(bytes32 channelId, uint256 modelId, uint256 cumulative) external view returns (bytes32);

    /// @notice Blocks between `startClose` and `close`.
    function closeDelay() external view returns (uint64);
}

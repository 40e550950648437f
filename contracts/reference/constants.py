"""The protocol's fixed numbers, as in the contracts. Amounts in wei, times in blocks, rates in basis points."""

BPS = 10_000
TOKEN = 10**18
ONE_Q16 = 65_536
HASH_BLOCKS = 256
"""Blocks back to which ``blockhash`` reaches."""
HISTORY_BLOCKS = 8_191
"""Blocks back to which EIP-2935's contract reaches, where a chain has it."""

# --- judgement
GROUP = 8
"""Submissions of one group: they share a committee, and a validator's scores for them share a storage word."""
MAX_MINERS = 256
MAX_VALIDATORS = 64
MAX_SCORE = 10**9
"""Micro-nats: a thousand nats."""
FULL_AGREEMENT = 1_000_000
BOND_ONE = 65_535
BOND_ALPHA_BPS = 1_000
"""The newest round's part in a bond."""
QUORUM_BPS = 6_666
"""Default and least quorum of frozen stake. A hair below two thirds, so that two of three equal validators reach it."""
KAPPA_BPS = 5_000
"""Default part of a committee's revealed weight that must reach a score for it to count."""
COMMITTEE = 32
"""Default size of a committee: with more validators than this, so many seats are drawn by stake for each group."""

# --- punishment
MAX_MISSED = 3
UNREVEALED_BPS = 10
INVALID_BPS = 500
CONFLICT_BPS = 500
MAX_SLASH_BPS = 5_000

# --- money
EMISSION_PER_BLOCK = TOKEN
HALVING_BLOCKS = 45_000_000
FIRST_SHARES = 1000 * TOKEN
SHARES_HORIZON = 100
MAX_DATASETS = 16
"""Datasets that one delta can name."""

# --- stake
BUCKETS = 4
"""Buckets of the unbonding time."""
MAX_COMMISSION_BPS = 5_000
DEFAULT_COMMISSION_BPS = 1_000

# --- pages
PAGE_GROUPS = 4
PAGE_UNITS = 64

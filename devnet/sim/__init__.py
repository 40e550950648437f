"""What the protocol's rules do to people who play against them: a Monte Carlo on the reference arithmetic.

    engine      a round's judgement on arrays, equal to ``contracts.reference``
    world       miners' true gains, what validators measure of them, and strategies
    play        many rounds of one network
    report      a scenario's result as table, JSON and picture
    cabal, sybil, copying, griefing, delegation, dealing, committees, yuma    the scenarios

``python -m devnet.sim all`` runs them; docs/explain/economics.md says what they show.
"""

"""How the contracts are checked beyond their tests; none of it is needed to run Strata.

``coverage`` holds branch coverage above a floor; ``findings`` runs slither and wants a reason for each that stays;
``mutants`` breaks the sources in small ways and wants a test to fail each time; ``prove`` runs halmos over
``contracts/test/proofs``. ``make contracts-deep`` runs them all, ``docs/explain/assurance.md`` tells what came out.
"""

"""The protocol: contract sources, their compiled artifacts, and the same arithmetic in Python.

``load_artifact`` gives a contract's ABI and bytecode (no compiler needed), ``link`` puts the addresses of the libraries
into it; ``compile`` makes the artifacts;
``reference`` is the arithmetic; ``enums`` has the numbered words.
"""

from contracts.artifact import CONTRACTS, LIBRARIES, Artifact, ArtifactMissing, LinkFailed, link, load_artifact

__all__ = ["CONTRACTS", "LIBRARIES", "Artifact", "ArtifactMissing", "LinkFailed", "link", "load_artifact"]

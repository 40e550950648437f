"""The gateway's counters, in a registry of their own (several gateways may live in one process, in tests)."""

from __future__ import annotations

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest


class GatewayMetrics:
    """What ``/metrics`` tells."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.answers = Counter("strata_answers", "answers given", ["model"], registry=self._registry)
        self.tokens = Counter("strata_tokens", "tokens of answers", ["model"], registry=self._registry)
        self.errors = Counter("strata_errors", "requests refused or failed", ["status"], registry=self._registry)
        self.vouchers = Counter("strata_vouchers", "vouchers passed on", registry=self._registry)

    def answered(self, model: str, end: dict[str, Any]) -> None:
        """Count an answer by its last frame."""
        usage = end.get("usage")
        tokens = usage.get("completion_tokens", 0) if isinstance(usage, dict) else 0
        self.answers.labels(model).inc()
        self.tokens.labels(model).inc(tokens if type(tokens) is int and tokens >= 0 else 0)

    def failed(self, status: int) -> None:
        """Count a refusal."""
        self.errors.labels(str(status)).inc()

    def figures(self) -> dict[str, int]:
        """Sums over models and kinds, for the node's own figures."""
        return {
            name: round(
                sum(sample.value for family in counter.collect() for sample in family.samples if _counts(sample))
            )
            for name, counter in (("given", self.answers), ("tokens", self.tokens), ("refused", self.errors))
        }

    def text(self) -> bytes:
        """In Prometheus's text form."""
        return generate_latest(self._registry)


def _counts(sample: Any) -> bool:
    """A counter also tells when it was made."""
    return str(sample.name).endswith("_total")

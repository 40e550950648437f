"""The gateway's counters, for Prometheus and for the node's own figures."""

from __future__ import annotations

from node.serving.metrics import GatewayMetrics


def test_gateway_metrics_when_it_answers_and_refuses_then_page_and_sums_agree() -> None:
    metrics = GatewayMetrics()
    assert metrics.figures() == {"given": 0, "tokens": 0, "refused": 0}
    metrics.answered("law", {"usage": {"completion_tokens": 12}})
    metrics.answered("computing", {"usage": {"completion_tokens": True}})  # not a count
    metrics.failed(402)
    assert metrics.figures() == {"given": 2, "tokens": 12, "refused": 1}
    assert 'strata_answers_total{model="law"} 1.0' in metrics.text().decode()

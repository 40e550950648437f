"""The contributors' part: their texts, submitted with the ``strata`` command, and the validators' votes on them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from devnet.network import BUILD_SECONDS, START_SECONDS, TEXTS, Devnet
from devnet.pieces import TextJob, read_jobs
from devnet.processes import NodeFailed
from devnet.waiting import together, wait_until

SUBMIT_SECONDS = 240.0


def submit_texts(net: Devnet) -> None:
    """Every contributor submits its texts with the ``strata`` command; then the votes are awaited."""
    out = net.run.path / "texts.json"
    with net.times.part("texts"):
        wait_until(out.exists, BUILD_SECONDS, f"the sample texts (log: {net.run.log(TEXTS)})", net.check)
        found = read_jobs(out)
        people = sorted({job.contributor for job in found})

        def submit_all(person: str) -> None:
            for job in found:
                if job.contributor == person:
                    submit(net, job)

        works = [partial(submit_all, person) for person in people]
        together(works, SUBMIT_SECONDS, "the contributors' submissions")
        wait_accepted(net, len(found))
        together([partial(reclaim, net, person) for person in people], SUBMIT_SECONDS, "the datasets' deposits")


def submit_field(net: Devnet, field: str, model: str, seconds: float = BUILD_SECONDS) -> None:
    """The contributors' texts of one field, to one model; ``seconds``: that the texts are waited for."""
    texts = net.run.path / "texts.json"
    wait_until(texts.exists, seconds, "the sample texts", net.check)
    jobs = [replace(job, model=model) for job in read_jobs(texts) if job.model == field]
    for job in jobs:
        submit(net, job)
    wait_accepted(net, len(jobs))


def submit(net: Devnet, job: TextJob) -> None:
    """One ``strata data submit``."""
    arguments = ("data", "submit", job.path, "--model", job.model, "--licence", job.licence, "--source", job.source)
    result = net.must(*arguments, "--name", f"{job.model} by {job.contributor}", "--yes", wallet=job.contributor)
    line = next((line for line in result.output.splitlines() if "registered" in line), "registered")
    net.say(f"{job.contributor}: {line.strip()}")


def reclaim(net: Devnet, person: str) -> None:
    """A contributor takes the deposits of its accepted datasets back."""
    chain, owner = net.chain(person), net.address(person)
    mine = [info for info in chain.datasets() if info.owner == owner and info.deposit]
    for info in mine:
        chain.reclaim_deposit(info.id)
    if mine:
        net.say(f"{person} has its {len(mine)} deposits again")


def wait_accepted(net: Devnet, count: int) -> None:
    """Wait until the validators have accepted every dataset."""
    from client.types import DatasetStatus

    def accepted() -> bool:
        datasets = net.chain().datasets()
        refused = [info.id for info in datasets if info.status == DatasetStatus.REJECTED]
        if refused:
            raise NodeFailed(
                f"the validators rejected dataset {refused[0]}; their logs say why: {net.run.path / 'logs'}"
            )
        return len(datasets) >= count and all(info.status == DatasetStatus.ACCEPTED for info in datasets)

    wait_until(accepted, START_SECONDS, "the validators' votes on the datasets", net.check)
    net.say(f"validators accepted all {count} datasets")

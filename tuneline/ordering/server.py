"""The instruction server: hands out what to write next, takes the cases, shows how the corpus stands.

All state is in SQLite (store.py); the decisions are the desk's; this is their HTTP. Requests are served
one after the other by the event loop, which is therefore the one writer. Every answer is JSON, the
dashboard's page excepted.
"""

import asyncio
import base64
import contextlib
import hashlib
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from tuneline.http_service import INVALID, LOCKED, Fault, bearer, fault, new_app
from tuneline.ordering.desk import TOO_LATE, UNKNOWN, USED, Desk, NothingToDo, TooMany
from tuneline.ordering.exports import Exports
from tuneline.ordering.order import open_orders
from tuneline.ordering.seed_cases import read_seed_cases
from tuneline.ordering.shares import read_shares
from tuneline.ordering.store import Store, Submission

PAGE = Path(__file__).with_name("dashboard.html")
TICK = 1.0  # seconds between two looks for expired instructions
MOST_SIGNS = 20_000  # of a case text
AGENT = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}$"
PRINTABLE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
STATUS = {UNKNOWN: 404, USED: 409, TOO_LATE: 410}  # 422 for what is wrong with the text


@dataclass(frozen=True)
class Settings:
    """`total` counts the seed cases; `token` is asked of every client when there is one."""

    recipe: Path
    state: Path
    total: int = 5000
    seed: int = 0
    expire_after: float = 1800.0  # seconds
    recent: int = 200  # instructions whose combination is not repeated
    most_out: int = 20  # instructions that an agent may have at a time
    seed_cases: Path | None = None
    token: str = ""
    clock: Callable[[], float] = field(default=time.time)


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    to_write: int
    accepted: int
    out: int


class Agent(BaseModel):
    model_config = ConfigDict(extra="forbid")
    agent_id: str = Field("anonymous", pattern=AGENT, description="Who writes; letters, digits and ._:@-")


class Instruction(BaseModel):
    instruction_id: str = Field(description="INS- and a number of four digits or more.")
    target_toon: str = Field(description="The facts that the text must hold, and no others, as TOON.")
    prompt: str = Field(description="What to write.")
    dimensions: dict[str, str | None] = Field(description="The combination that was drawn.")
    expires_in: float = Field(description="Seconds after which the instruction may go to another agent.")


class Case(BaseModel):
    model_config = ConfigDict(extra="forbid")
    instruction_id: str = Field(min_length=1, max_length=64, pattern=PRINTABLE)
    agent_id: str = Field("anonymous", pattern=AGENT)
    case_text: str = Field(max_length=MOST_SIGNS, pattern=PRINTABLE)


class Refused(BaseModel):
    reason: str
    detail: str


class Verdict(BaseModel):
    accepted: bool
    refusals: list[Refused]
    missing: list[str] = Field(description="The facts of the target that the text does not say.")


NOTHING = {
    409: {
        "model": Fault,
        "description": "complete: the corpus is; all_out: all that is left is with agents; too_many: this agent has as "
        "many as one may. With the last two, try again after Retry-After seconds.",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Not with complete."}},
    }
}
REFUSED = {
    404: {"model": Verdict, "description": "No instruction has this id."},
    409: {"model": Verdict, "description": "Another case was accepted for this instruction."},
    410: {"model": Verdict, "description": "The instruction has expired."},
    422: {"model": Verdict, "description": "The text is refused; it may be corrected and sent again."},
}


def create_app(settings: Settings) -> FastAPI:
    """The application, with the state folder opened and its exports mended.

    Raises click.ClickException when the recipe cannot be read or another process has the state folder.
    """
    shares = read_shares(settings.recipe / "dimensions.yaml")
    seeds = read_seed_cases(settings.seed_cases)
    orders = open_orders(settings.recipe, shares)
    store = Store(settings.state)
    desk = Desk(
        store,
        shares,
        orders,
        seeds,
        total=settings.total,
        seed=settings.seed,
        expire_after=settings.expire_after,
        recent=settings.recent,
        most_out=settings.most_out,
        clock=settings.clock,
    )
    exports = Exports(settings.state, store.path, shares, seeds, settings.total)
    exports.start()

    async def expire_in_time() -> None:
        while True:
            await asyncio.sleep(TICK)
            with contextlib.suppress(sqlite3.Error):  # another second will do; /health tells
                if desk.expire():
                    exports.wake()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        ticking = asyncio.create_task(expire_in_time())
        yield
        ticking.cancel()
        exports.close()
        store.close()

    app = new_app(
        settings.token,
        home="/dashboard",
        title="Tuneline instruction server",
        description="Hands out what to write next so that a corpus of cases stays balanced, and takes the cases.",
        version="1",
        lifespan=lifespan,
    )
    guard = [Depends(bearer(settings.token))] if settings.token else []
    locked = LOCKED if settings.token else {}

    @app.get("/health", summary="Whether the server is there, and how far it is")
    async def health() -> Health:
        store.check()
        return Health(to_write=desk.to_write, accepted=desk.accepted, out=len(desk.out))

    def hand_out(agent_id: str) -> Instruction | JSONResponse:
        try:
            new = desk.next(agent_id)
        except TooMany as many:
            after = {"Retry-After": str(many.retry_after)}
            return fault(409, "too_many", f"{agent_id} has {settings.most_out} instructions; write them first", after)
        except NothingToDo as nothing:
            if nothing.retry_after is None:
                return fault(409, "complete", "all cases are written")
            after = {"Retry-After": str(nothing.retry_after)}
            return fault(409, "all_out", "what is left is out with agents; try again later", after)
        exports.wake()
        return Instruction(
            instruction_id=new.id,
            target_toon=new.target_toon,
            prompt=new.prompt,
            dimensions=new.dimensions,
            expires_in=settings.expire_after,
        )

    instructions: dict[str, Any] = {
        "response_model": Instruction,
        "responses": {**INVALID, **locked, **NOTHING},
        "dependencies": guard,
    }

    @app.get("/next-instruction", summary="What to write next", **instructions)
    async def get_next(agent_id: Annotated[str, Query(pattern=AGENT)] = "anonymous") -> Any:
        return hand_out(agent_id)

    @app.post("/next-instruction", summary="What to write next", **instructions)
    async def post_next(agent: Agent | None = None) -> Any:
        return hand_out(agent.agent_id if agent else "anonymous")

    @app.post(
        "/submit-case",
        summary="Hand in the case written for an instruction",
        response_model=Verdict,
        responses={**INVALID, **locked, **REFUSED},
        dependencies=guard,
    )
    async def submit_case(case: Case) -> Any:
        submission = desk.submit(case.instruction_id, case.agent_id, case.case_text)
        exports.wake()
        return JSONResponse(_verdict(submission), _status(submission))

    page, policy = read_page()
    page_headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    @app.get("/dashboard", summary="The dashboard", response_class=HTMLResponse)
    async def dashboard() -> HTMLResponse:
        return HTMLResponse(page, headers=page_headers)

    @app.get("/dashboard/data", summary="What the dashboard shows", responses=locked, dependencies=guard)
    async def dashboard_data() -> dict[str, Any]:
        return Response(exports.view, media_type="application/json")

    return app


def _verdict(submission: Submission) -> dict[str, Any]:
    return {"accepted": submission.accepted, "refusals": submission.refusals, "missing": submission.missing}


def _status(submission: Submission) -> int:
    return 200 if submission.accepted else STATUS.get(submission.refusals[0]["reason"], 422)


def read_page() -> tuple[str, str]:
    """The dashboard's HTML and the policy that lets a browser run what stands in it, and nothing else."""
    page = PAGE.read_text("utf-8")
    allowed = {}
    for kind in ("script", "style"):
        (body,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        allowed[kind] = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    return page, (
        f"default-src 'none'; script-src 'sha256-{allowed['script']}'; style-src 'sha256-{allowed['style']}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

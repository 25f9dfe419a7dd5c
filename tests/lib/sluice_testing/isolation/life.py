"""How an owner lives: one act after the other, and a look around after each."""

import asyncio
import time

from sluice_testing.isolation.look import look_around
from sluice_testing.isolation.owner import Act, Left, Owner
from sluice_testing.isolation.sessions import is_loss, sqlstate_of

# A name is there already: somebody else's, for the owner has none of it.
_DUPLICATES = ("42P07", "42P03", "42P05")
_CANCELLED = "57014"


async def live(owner: Owner, acts: list[tuple[Act, int]], deadline: float) -> None:
    choices, weights = [act for act, _ in acts], [weight for _, weight in acts]
    # The owners of one kind begin with one act after the other, so that each takes place.
    await _perform(owner, choices[owner.place % len(choices)])
    while time.monotonic() < deadline:
        [act] = owner.dice.choices(choices, weights)
        await _perform(owner, act)
    await owner.leave()


async def _perform(owner: Owner, act: Act) -> None:
    name = getattr(act, "__name__", "act").replace("_", " ")
    try:
        async with asyncio.timeout(owner.world.plan.patience):
            await owner.connect()
            await act(owner)
            owner.findings.acts[name] += 1
            await look_around(owner, name)
            if _is_enough(owner):
                await owner.leave()
    except Left:
        owner.findings.acts[name] += 1
        await owner.leave()
    except Exception as error:  # a wrong answer may break a driver in any way
        _note(owner, name, error)
        await owner.leave(abruptly=True)


def _is_enough(owner: Owner) -> bool:
    """A finding is counted once; and some leave their settings and statements behind."""
    touched = owner.settings.touched or bool(owner.statements)
    return owner.tainted or (touched and owner.dice.random() < owner.world.plan.turnover)


def _note(owner: Owner, act: str, error: Exception) -> None:
    code, findings = sqlstate_of(error), owner.findings
    line = f"{owner.tag} ({owner.kind}) in {act}: {type(error).__name__} {code}: {error}"
    if code == _CANCELLED:
        findings.wrong.add(f"cancelled by somebody else: {line}")
    elif code in _DUPLICATES:
        findings.objects.add(line)
    elif is_loss(error) and owner.world.explain_by_kill():
        findings.excused += 1
    else:
        findings.errors.add(line)

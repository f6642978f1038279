"""How mutants change the product: they replace an attribute or a piece of a script, and fail if it does not exist."""

import sys
from dataclasses import replace
from hashlib import sha1
from typing import cast

from tannoy.fanout import scripts
from tannoy.fanout.redis.script import Script


def patch(owner: object, name: str, value: object) -> None:
    """Replace an existing attribute. Raises LookupError if there is none of this name."""
    if not hasattr(owner, name):
        raise LookupError(f"{owner!r} has no {name}: adapt the mutant to the product")
    setattr(owner, name, value)


def patch_script(name: str, old: bytes, new: bytes) -> None:
    """Replace a piece of a Lua script in every module that refers to the script.

    Raises LookupError unless the piece occurs exactly once.
    """
    script: Script = getattr(scripts, name)
    if script.source.count(old) != 1:
        raise LookupError(f"{old!r} is {script.source.count(old)} times in {name}: adapt the mutant to the product")
    source = script.source.replace(old, new)
    mutated = replace(script, source=source, digest=sha1(source, usedforsecurity=False).hexdigest())
    for module in [module for name, module in sys.modules.items() if name.startswith("tannoy.")]:
        for held, value in tuple(vars(module).items()):
            if value == script:
                setattr(module, held, mutated)
            elif isinstance(value, tuple) and script in value:
                scripts_held = cast("tuple[Script, ...]", value)
                setattr(module, held, tuple(mutated if each == script else each for each in scripts_held))


def patch_scripts(old: bytes, new: bytes) -> None:
    """Replace the piece in all scripts that contain it. Raises LookupError if none does."""
    holding = [name for name, script in vars(scripts).items() if isinstance(script, Script) and old in script.source]
    if not holding:
        raise LookupError(f"{old!r} is in no script: adapt the mutant to the product")
    for name in holding:
        patch_script(name, old, new)

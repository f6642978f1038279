"""How mutants change the product: a name that is there, or a piece of a script. What is not there any more fails."""

import sys
from hashlib import sha1
from typing import cast

from tannoy.fanout import scripts
from tannoy.fanout.redis.script import Script


def patch(owner: object, name: str, value: object) -> None:
    """Replace something that is there."""
    if not hasattr(owner, name):
        raise LookupError(f"{owner!r} has no {name} any more: the mutant has to be fitted to the product")
    setattr(owner, name, value)


def patch_script(name: str, old: bytes, new: bytes) -> None:
    """Replace a piece of a Lua script, wherever the script is held."""
    script: Script = getattr(scripts, name)
    if script.source.count(old) != 1:
        raise LookupError(f"{old!r} stands {script.source.count(old)} times in {name}: fit the mutant to the product")
    source = script.source.replace(old, new)
    mutated = Script(source, sha1(source, usedforsecurity=False).hexdigest())
    for module in [module for name, module in sys.modules.items() if name.startswith("tannoy.")]:
        for held, value in tuple(vars(module).items()):
            if value == script:
                setattr(module, held, mutated)
            elif isinstance(value, tuple) and script in value:
                scripts_held = cast("tuple[Script, ...]", value)
                setattr(module, held, tuple(mutated if each == script else each for each in scripts_held))


def patch_scripts(old: bytes, new: bytes) -> None:
    """In all scripts that hold this piece: what stands in front of several."""
    holding = [name for name, script in vars(scripts).items() if isinstance(script, Script) and old in script.source]
    if not holding:
        raise LookupError(f"{old!r} stands in no script any more: the mutant has to be fitted to the product")
    for name in holding:
        patch_script(name, old, new)

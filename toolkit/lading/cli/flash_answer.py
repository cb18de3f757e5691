"""What the verbs that write flash images say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from lading.cli.screen import Screen
    from lading.client.pushing import Cargo
    from lading.flash.budget import Budget
    from lading.flash.image import FlashImage
    from lading.flash.writers import Command
    from lading.targets.load import Target


@dataclass(frozen=True)
class Flashed:
    """An image that was written, and what is known about it."""

    path: Path
    target: Target
    profile: str
    variant: str
    image: FlashImage
    budget: Budget
    commands: tuple[Command, ...]

    def document(self) -> dict[str, Any]:
        """The result as it stands in a verb's JSON document."""
        image = self.image
        return {
            "path": str(self.path),
            "target": self.target.id,
            "profile": self.profile,
            "variant": self.variant,
            "release": image.release,
            "partition": image.partition.name,
            "offset": image.offset,
            "address": image.address,
            "size": len(image.data),
            "block_size": image.block_bytes,
            "used": image.used_bytes,
            "files": [{"name": name, "size": size} for name, size in image.files.items()],
            "memory": {
                "needed": self.budget.needed,
                "available": self.budget.available,
                "parts": [{"name": p.name, "size": p.size, "note": p.note} for p in self.budget.parts],
            },
            "commands": [{"tool": c.tool, "command": list(c.words), "note": c.note} for c in self.commands],
        }

    def render(self, screen: Screen) -> None:
        """The same for people."""
        from lading.flash.image import flash_of
        from lading.flash.picture import flash_map, memory_map

        screen.say(f"flash of {self.target.title}", style="bold")
        for line in flash_map(flash_of(self.target), self.image):
            screen.say(f"  {line}")
        screen.say("memory of a run, at least", style="bold")
        for line in memory_map(self.budget):
            screen.say(f"  {line}")
        screen.say(f"{self.path}  for {self.image.address:#x}, {self.image.release}")
        for command in self.commands:
            screen.say(f"{command.tool}: {command.line}")
            if command.note:
                screen.say(f"  ({command.note})", style="dim")


def write_image(
    bundle: Cargo,
    target_name: str,
    output: Path,
    *,
    profile_name: str | None = None,
    variant: str | None = None,
    port: str | None = None,
    project: Path | None = None,
    anyway: bool = False,
) -> Flashed:
    """Make an image of a bundle, see that it fits, and write it.

    Args:
        bundle: what is on it.
        target_name: the target.
        output: the file.
        profile_name: the firmware profile; None: the target's usual one.
        variant: which of the bundle's variants; None: the first that was made for the profile, else the guest as it is.
        port: the serial port, for the command lines.
        project: the project whose own targets and profiles count as well.
        anyway: also where a run needs more memory than there is.
    """
    from lading import profiles, targets
    from lading.flash import budget, image, writers
    from lading.golden.toml_edit import replace

    target = targets.find(target_name, project)
    flash = image.flash_of(target)
    profile = profiles.find(profile_name or target.profiles[0], project)
    chosen = variant or variant_for(bundle, profile.id)
    needed = budget.budget(bundle, target, profile, chosen)
    if not anyway:
        budget.check(needed, target)
    made = image.build(bundle, target, profile, chosen)
    replace(output, made.data)
    return Flashed(output, target, profile.id, chosen, made, needed, writers.commands(flash, made, output, port))


def variant_for(bundle: Cargo, profile: str) -> str:
    """The variant that the check said ``ok`` of for a profile; the guest as it is where there is none."""
    from lading.variants.told import promised
    from lading_agent.ahead import ahead_of

    fits = [v.id for v in bundle.bill.variants if profile in promised(v) and ahead_of(v) is None]
    return fits[0] if fits and "default" not in fits else "default"

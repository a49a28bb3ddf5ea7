"""The HardwareProfiles that ship with Rackplane."""

from functools import cache
from importlib import resources

import yaml

from rackplane.api.decode import decode
from rackplane.api.hardware_profile import HardwareProfile


@cache
def shipped_profile_texts() -> dict[str, str]:
    """YAML text by profile name, as `kubectl apply` takes it, in order of name."""
    directory = resources.files("rackplane") / "hardwareprofiles"
    files = {entry.name: entry for entry in directory.iterdir() if entry.name.endswith(".yaml")}
    return {name.removesuffix(".yaml"): files[name].read_text(encoding="utf-8") for name in sorted(files)}


@cache
def shipped_profiles() -> dict[str, HardwareProfile]:
    """Profile by name (`gb300-nvl72`), in order of name.

    Raises ValueError if a shipped file is not a valid HardwareProfile, which the tests exclude.
    """
    profiles = {}
    for name, text in shipped_profile_texts().items():
        profile = decode(HardwareProfile, yaml.safe_load(text))
        if isinstance(profile, list):
            raise ValueError(f"shipped profile {name}: {'; '.join(str(problem) for problem in profile)}")
        profiles[name] = profile
    return profiles

"""Where the weights of a model go: the devices that an entry names, else the accelerator that torch finds.

Nothing goes to main memory or to a disk beside an accelerator unless ``device_map`` says so. It knows devices and
their memory, and no weights.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from clemcore.backends.base import require
from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.memory import Free, free_on, free_ram, read_size
from clemcore.backends.local.preflight import LIMITED
from clemcore.errors import ModelLoadError, SpecError

SPREADING = ("auto", "balanced", "balanced_low_0", "sequential")
# Where a layer waits until it is needed, beside an accelerator.
_SLOW = ("cpu", "disk")


def options_of(entry: LocalEntry) -> dict[str, Any]:
    """Return the part of ``from_pretrained``'s options that places weights.

    Raises:
        SpecError: a device does not exist here, or the settings contradict each other.
    """
    name = entry.model_name
    if entry.device is not None and entry.device_map is not None:
        raise SpecError(f"model '{name}': device and device_map exclude each other: remove one of them")
    if entry.max_memory is not None and entry.device_map not in SPREADING:
        raise SpecError(
            f"model '{name}': max_memory limits a device_map that is found automatically: set device_map to 'auto'"
        )
    if isinstance(entry.device_map, str) and entry.device_map not in SPREADING:
        raise SpecError(
            f"model '{name}': device_map must be an object or one of {', '.join(SPREADING)}, not "
            f"{entry.device_map!r}: to compute on one device, name it in 'device' and leave device_map out"
        )
    if isinstance(entry.device_map, Mapping):
        map_ = {part: _device(entry, place, "device_map") for part, place in entry.device_map.items()}
        return _with_accelerate({"device_map": map_})
    if entry.device_map is not None:
        return _with_accelerate({"device_map": entry.device_map, **_limits(entry)})
    if entry.device is not None:
        device = _device(entry, entry.device, "device")
        return {} if device == "cpu" else _with_accelerate({"device_map": {"": device}})
    devices = _accelerators()
    if not devices:
        return {}
    if len(devices) == 1:
        return _with_accelerate({"device_map": {"": devices[0]}})
    # Over all accelerators, and nowhere else.
    limits = {index: free_on(device).bytes for index, device in enumerate(devices)}
    return _with_accelerate({"device_map": "auto", "max_memory": limits})


def devices_of(entry: LocalEntry) -> tuple[str, ...]:
    """Return the devices that an entry's weights can go to, the one that computes first.

    Raises:
        SpecError: as for :func:`options_of`.
    """
    options = options_of(entry)
    map_ = options.get("device_map")
    if map_ is None:
        return ("cpu",)
    if isinstance(map_, Mapping):
        return tuple(dict.fromkeys(map_.values()))
    named = options.get("max_memory", {})
    return tuple(_accelerators() + [device for device in _SLOW if device in named or not named])


def devices_key(entry: LocalEntry) -> Hashable:
    """Return what is equal for entries whose weights go to the same places.

    Raises:
        SpecError: as for :func:`options_of`.
    """
    options = options_of(entry)
    map_ = options.get("device_map", {"": "cpu"})
    if isinstance(map_, Mapping):
        return tuple(map_.items())
    # Where nobody set limits, they are what was free at the moment.
    limits = options.get("max_memory", {}) if entry.device_map is not None else dict.fromkeys(_accelerators())
    return map_, tuple(sorted(limits.items(), key=str))


def free_for(entry: LocalEntry) -> Free:
    """Return how much memory is free for an entry, on all its devices together; a disk counts as without limit."""
    devices = devices_of(entry)
    if "disk" in devices:
        return Free(1 << 60, "disk")
    limits = options_of(entry).get("max_memory") or {}
    total, names = 0, []
    for index, device in enumerate(devices):
        found = free_ram() if device == "cpu" else free_on(device)
        limit = limits.get(device if device == "cpu" else index) if entry.max_memory is not None else None
        if limit is not None and limit < found.bytes:
            found = Free(limit, LIMITED)
        total += found.bytes
        names.append(found.by)
    return Free(total, ", ".join(dict.fromkeys(names)))


def placement_of(model: Any) -> dict[str, Any] | None:
    """Return which parts of a model wait in main memory or on a disk beside an accelerator, or None for none."""
    map_ = getattr(model, "hf_device_map", None) or {}
    places = {part: str(place) for part, place in map_.items()}
    slow = {part: place for part, place in places.items() if place in _SLOW}
    return slow if (slow and len(slow) < len(places)) or "disk" in slow.values() else None


def check_placement(entry: LocalEntry, model: Any) -> None:
    """Refuse layers that went to main memory or a disk though nobody asked for it.

    Raises:
        ModelLoadError: there are some.
    """
    slow = placement_of(model)
    if slow and entry.device_map is None:
        raise ModelLoadError(
            f"model '{entry.model_name}': {len(slow)} parts do not fit the accelerators: load it in 8 or 4 bits, "
            "or set model_config.device_map to 'auto' to have them wait in main memory, which is slow"
        )


def _accelerators() -> list[str]:
    import torch

    if not torch.accelerator.is_available():
        return []
    kind = torch.accelerator.current_accelerator().type
    count = torch.accelerator.device_count()
    return [f"{kind}:{index}" for index in range(count)] if kind != "mps" else [kind]


def _device(entry: LocalEntry, given: Any, setting: str) -> str:
    """Return a device by its whole name.

    Raises:
        SpecError: there is no such device here.
    """
    import torch

    there = ["cpu", *_accelerators()]
    wanted = f"{(there[1:] or ['cuda:0'])[0].split(':')[0]}:{given}" if str(given).isdigit() else str(given)
    if wanted == "disk" and setting == "device_map":
        return wanted
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    found = None if device is None else str(device)
    if found is not None and found not in there and f"{found}:0" in there:
        found = f"{found}:0"
    if found not in there:
        raise SpecError(
            f"model '{entry.model_name}': {setting} names {given!r}, which is not a device of this machine: it has "
            f"{', '.join(there)}"
        )
    return str(found)


def _limits(entry: LocalEntry) -> dict[str, Any]:
    if entry.max_memory is None:
        return {}
    what = f"model '{entry.model_name}': max_memory"
    limits: dict[int | str, int] = {}
    for device, size in entry.max_memory.items():
        number = str(device).rpartition(":")[2]
        if device not in _SLOW and not number.isdigit():
            raise SpecError(f"{what} must have devices like '0' or 'cpu' as keys, not {device!r}")
        if device not in _SLOW:
            _device(entry, device, "max_memory")
        limits[device if device in _SLOW else int(number)] = read_size(size, f"{what}[{device!r}]")
    return {"max_memory": limits}


def _with_accelerate(options: dict[str, Any]) -> dict[str, Any]:
    require("accelerate", backend="huggingface_local", extra="huggingface")
    return options

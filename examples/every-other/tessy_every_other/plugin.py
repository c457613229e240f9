"""What this package registers; imports nothing heavy."""

from tessy import Plugin, SwitchPolicy, hookimpl


def _load() -> type[SwitchPolicy]:
    from tessy_every_other.policy import EveryOther

    return EveryOther


@hookimpl
def tessy_switch_policies() -> list[Plugin]:
    """The policy ``every-other``."""
    return [Plugin("every-other", "the models take turns", _load)]

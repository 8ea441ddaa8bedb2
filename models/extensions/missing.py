"""The name of an entry of an extension that is not installed here, as in a run from another computer. No torch."""

from __future__ import annotations


class Missing(str):
    """A name as a setting's value, with the package that adds its entry. Such a setting is shown, but not used."""

    package: str

    def __new__(cls, name: str, package: str) -> Missing:
        """Make the name of an entry that `package` adds."""
        made = super().__new__(cls, name)
        made.package = package
        return made

    def __reduce__(self) -> tuple[type[Missing], tuple[str, str]]:
        """Return what makes a copy."""
        return Missing, (str(self), self.package)

    @property
    def sentence(self) -> str:
        """What is missing, and what to do."""
        return (
            f"“{self}” comes with the package {self.package}, which is not installed here: install it "
            f"(pip install {self.package}), or choose another."
        )

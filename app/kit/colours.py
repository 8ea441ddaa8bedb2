"""All colours of the light and the dark theme, by purpose, and Qt's palette."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QPalette

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of the light or the dark theme, as '#RRGGBB', by purpose."""

    name: str
    window: str
    surface: str
    sunken: str
    raised: str
    border: str
    border_strong: str
    text: str
    muted: str
    hint: str
    """Subdued text: placeholders, line numbers, omissions."""
    faint: str
    """Subdued lines and bars, and disabled widgets."""
    accent: str
    accent_hover: str
    accent_pressed: str
    accent_soft: str
    accent_line: str
    on_accent: str
    danger: str
    danger_soft: str
    warning: str
    warning_soft: str
    info: str
    selection: str
    tooltip: str
    on_tooltip: str
    pill_a: str
    pill_b: str
    pill_text: str
    shadow: str = "#000000"
    validation: str = "#B85A00"
    query: str = "#0072B2"
    key: str = "#D55E00"
    value: str = "#009E73"
    categories: tuple[str, ...] = OKABE_ITO

    @property
    def dark(self) -> bool:
        """Whether this is the dark theme."""
        return self.name == "dark"

    def color(self, role: str, alpha: float = 1.0) -> QColor:
        """Return the field `role` as a QColor with an `alpha` from 0 to 1."""
        color = QColor(getattr(self, role))
        color.setAlphaF(alpha)
        return color


LIGHT = Theme(
    name="light",
    window="#F4F6F2",
    surface="#FFFFFF",
    sunken="#EDF1EB",
    raised="#FFFFFF",
    border="#DCE3DA",
    border_strong="#B9C4B8",
    text="#19211B",
    muted="#566159",
    hint="#647067",
    faint="#89948B",
    accent="#2B7A4B",
    accent_hover="#236840",
    accent_pressed="#1C5634",
    accent_soft="#E6F3EA",
    accent_line="#A9D2B8",
    on_accent="#FFFFFF",
    danger="#B0362A",
    danger_soft="#FBE9E6",
    warning="#8A5800",
    warning_soft="#FFF2D5",
    info="#0067A3",
    selection="#CBE6D5",
    tooltip="#222B25",
    on_tooltip="#F1F5F1",
    pill_a="#CFE0F7",
    pill_b="#FBE3B5",
    pill_text="#12181F",
)

DARK = Theme(
    name="dark",
    window="#131714",
    surface="#1A1F1B",
    sunken="#0F1310",
    raised="#242B26",
    border="#2C342E",
    border_strong="#49544C",
    text="#E8EDE9",
    muted="#9FAAA2",
    hint="#89948C",
    faint="#6F7A72",
    accent="#5CC58C",
    accent_hover="#74D3A0",
    accent_pressed="#4AAE78",
    accent_soft="#1D3628",
    accent_line="#2F5D45",
    on_accent="#0B1A11",
    danger="#F28B7F",
    danger_soft="#3B201D",
    warning="#E8B45A",
    warning_soft="#372A12",
    info="#6DB7F2",
    selection="#24513A",
    tooltip="#2E3731",
    on_tooltip="#F1F5F1",
    pill_a="#274B73",
    pill_b="#6B4E16",
    pill_text="#FFFFFF",
    validation="#F0A35C",
    query="#56A8DC",
    key="#E8853B",
    value="#2BBF93",
    categories=("#56A8DC", "#E69F00", "#2BBF93", "#D98CB8", "#8CCBF0", "#E8853B", "#F0E442"),
)


def palette_of(theme: Theme) -> QPalette:
    """Build Qt's palette in the theme's colours, for widgets that the style sheet does not cover."""
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: "window",
        QPalette.ColorRole.WindowText: "text",
        QPalette.ColorRole.Base: "surface",
        QPalette.ColorRole.AlternateBase: "sunken",
        QPalette.ColorRole.Text: "text",
        QPalette.ColorRole.PlaceholderText: "hint",
        QPalette.ColorRole.Button: "surface",
        QPalette.ColorRole.ButtonText: "text",
        QPalette.ColorRole.BrightText: "danger",
        QPalette.ColorRole.Highlight: "selection",
        QPalette.ColorRole.HighlightedText: "text",
        QPalette.ColorRole.Link: "accent",
        QPalette.ColorRole.LinkVisited: "accent",
        QPalette.ColorRole.ToolTipBase: "tooltip",
        QPalette.ColorRole.ToolTipText: "on_tooltip",
        QPalette.ColorRole.Light: "raised",
        QPalette.ColorRole.Mid: "border",
        QPalette.ColorRole.Dark: "border_strong",
        QPalette.ColorRole.Accent: "accent",
    }
    for role, field in roles.items():
        palette.setColor(role, theme.color(field))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, theme.color("faint"))
    return palette


def readable_on(ground: QColor) -> QColor:
    """Return black or white, whichever has the higher contrast: at least 4.5 to 1 (WCAG 2.2)."""
    return QColor("#000000") if contrast(ground, QColor("#000000")) >= 21**0.5 else QColor("#FFFFFF")


def contrast(one: QColor, other: QColor) -> float:
    """Compute the contrast ratio of two colours (WCAG 2.2), 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: QColor) -> float:
    channels = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

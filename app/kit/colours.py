"""All colours of the themes, by purpose, and Qt's palette."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QPalette

CATEGORIES = ("#0072B2", "#B87B00", "#008F68", "#BA6093", "#3A8FC4", "#D55E00", "#948A00")
"""Hues of Okabe and Ito, which can be told apart with any colour vision, dark enough for lines on a light ground."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of a theme, as '#RRGGBB', by purpose."""

    name: str
    window: str
    surface: str
    sunken: str
    raised: str
    border: str
    border_strong: str
    outline: str
    """The border of what is typed into, or ticked: at least 3 to 1."""
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
    validation: str = "#A85200"
    query: str = "#0072B2"
    key: str = "#D55E00"
    value: str = "#009A70"
    categories: tuple[str, ...] = CATEGORIES

    @property
    def dark(self) -> bool:
        """Whether this is a dark theme."""
        return self.name.endswith("dark")

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
    outline="#7C877E",
    text="#19211B",
    muted="#566159",
    hint="#647067",
    faint="#7F8A81",
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
    outline="#6F7A72",
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


CONTRAST_LIGHT = Theme(
    name="contrast light",
    window="#FFFFFF",
    surface="#FFFFFF",
    sunken="#F5F5F5",
    raised="#FFFFFF",
    border="#6B6B6B",
    border_strong="#3D3D3D",
    outline="#000000",
    text="#000000",
    muted="#2B2B2B",
    hint="#404040",
    faint="#4F4F4F",
    accent="#00502A",
    accent_hover="#003F20",
    accent_pressed="#002E17",
    accent_soft="#E3F4EA",
    accent_line="#00502A",
    on_accent="#FFFFFF",
    danger="#8A0F00",
    danger_soft="#FFF0ED",
    warning="#573700",
    warning_soft="#FFF6E0",
    info="#00457A",
    selection="#C4E8D2",
    tooltip="#000000",
    on_tooltip="#FFFFFF",
    pill_a="#D6E6FA",
    pill_b="#FCE9C4",
    pill_text="#000000",
    validation="#7A3B00",
    query="#00457A",
    key="#8A3300",
    value="#005A42",
    categories=("#00538A", "#8A5A00", "#006B4E", "#96386F", "#1F6F9E", "#A33F00", "#6B6300"),
)

CONTRAST_DARK = Theme(
    name="contrast dark",
    window="#000000",
    surface="#000000",
    sunken="#0D0D0D",
    raised="#141414",
    border="#8C8C8C",
    border_strong="#BDBDBD",
    outline="#FFFFFF",
    text="#FFFFFF",
    muted="#E0E0E0",
    hint="#CCCCCC",
    faint="#B8B8B8",
    accent="#7BF0AE",
    accent_hover="#A3F7C8",
    accent_pressed="#58D68F",
    accent_soft="#0B2E1C",
    accent_line="#7BF0AE",
    on_accent="#000000",
    danger="#FFB0A6",
    danger_soft="#3A100A",
    warning="#FFD685",
    warning_soft="#332300",
    info="#9AD4FF",
    selection="#14492F",
    tooltip="#FFFFFF",
    on_tooltip="#000000",
    pill_a="#123F70",
    pill_b="#523C00",
    pill_text="#FFFFFF",
    validation="#FFB870",
    query="#7CC4F5",
    key="#FFA366",
    value="#4FE0B4",
    categories=("#7CC4F5", "#FFB938", "#4FE0B4", "#F5AFD5", "#B5DFFA", "#FFA366", "#F7EC75"),
)

THEMES = {theme.name: theme for theme in (LIGHT, DARK, CONTRAST_LIGHT, CONTRAST_DARK)}


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

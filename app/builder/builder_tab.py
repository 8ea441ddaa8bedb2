"""The builder tab: edit the slots of an architecture, with its diagram and its costs."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QInputDialog, QWidget

from terrarium.app.builder.blocks.block_editing import BlockEditing
from terrarium.app.builder.comparison import ComparedDesign
from terrarium.app.builder.costs.cost_panel import CostPanel
from terrarium.app.builder.costs.dry_run import DryRuns
from terrarium.app.builder.design_bar import DesignActions, DesignBar
from terrarium.app.builder.design_files import DesignFiles
from terrarium.app.builder.design_list import DesignList
from terrarium.app.builder.design_views import DesignViews, stale_mark
from terrarium.app.builder.twin_dialog import TwinDialog
from terrarium.app.builder.work_size import WorkSize
from terrarium.app.kit.basics import column, group, label, scrolling, show_if, splitter, titled_card
from terrarium.app.kit.forms.config_form import ConfigForm
from terrarium.app.kit.inputs import named
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.layout.views import Side
from terrarium.app.kit.setting_names.preset_words import design_title, same_preset
from terrarium.app.kit.setting_names.slot_words import changed_slots, describe_changes, zero_text
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.session.undo import Step
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig

_SIMPLE = (
    "topology",
    "vocab_size",
    "context_length",
    "n_layer",
    "d_model",
    "position",
    "norm",
    "n_head",
    "activation",
    "head",
)
"""The settings shown at the simple detail level."""
_BLOCKS = (*BLOCK_SLOTS.values(), "block_options")
"""The settings that have a section of their own instead of editors in the form."""
_NOTES = {"vocab_size": "Training sets it to the tokenizer's."}


class BuilderTab(QWidget):
    """Designs and slots on the left, the views of a design in the middle, its costs on the right, its name above."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        # The last opened design; edits are compared with it.
        self._origin = ComparedDesign(session.designs.name, session.designs.current)
        self._noted = self._origin, session.designs.current  # origin and design after the last step that can be undone
        self.setProperty("role", "page")
        self.files = DesignFiles(session, self)
        self.list = DesignList(theme)
        self.setFocusProxy(self.list)
        self.form = ConfigForm(
            session.designs.current, theme, hidden=_BLOCKS, folded=("Details",), zero_text=zero_text(), notes=_NOTES
        )
        self.form.keep_simple(session.detail, _SIMPLE, lambda: self._origin.config)
        self.blocks = BlockEditing(session, theme, self.form, self)
        self.work = WorkSize()
        self.work.set_context(session.designs.current.context_length)
        self.views = DesignViews(session, theme, *self.work.values)
        self.costs = CostPanel(session.designs.current, theme)
        self.dry_runs = DryRuns(session.worker, session.device, session.training, session.notices, self)
        session.status.add(self.dry_runs)
        self.bar = DesignBar(theme, self._actions())
        # Views follow every edit; the session, which writes to disk, gets the design when edits pause.
        self._commit_timer = QTimer(self, singleShot=True, interval=200)
        self._build()
        self._connect()
        self._own = {info.name: info for info in session.designs.inspect()}
        self.bar.name.setText("my-design")
        self._on_design_changed()
        self.costs.set_device_memory(session.device.memory)
        self._on_dry_run_changed()

    def _actions(self) -> DesignActions:
        return DesignActions(
            save=self._on_save,
            train=self._on_train,
            train_twin=self._on_train_twin,
            rename=lambda: self._on_rename(self._origin.title),
            duplicate=lambda: self._on_duplicate(self._origin.title),
            delete=lambda: self._session.designs.delete(self._origin.title),
            revert=self._on_revert,
            import_json=self.files.ask_for_designs,
            export_json=self._on_export,
            export_svg=lambda: self.files.export_picture(self.bar.name.text(), "svg", self.views.diagram),
            export_png=lambda: self.files.export_picture(self.bar.name.text(), "png", self.views.diagram),
        )

    # -- Layout --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        sizes = label("parameters", "caption")
        shown = self.list.viewport()

        def stand_above_numbers() -> None:
            sizes.setContentsMargins(
                0, 0, SPACE + self.list.width() - shown.width(), 0
            )  # leave room for the scroll bar

        RelayoutOnResize(shown, stand_above_numbers)
        designs = titled_card("Designs", self.list, trailing=sizes)
        self.settings = scrolling(group(self.form, self.blocks.section, None))
        self.settings.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its editors scroll it when they get the focus
        settings = titled_card("Settings", self.settings)
        self._left = splitter(designs, settings, sizes=(270, 420), grows=(2, 3), vertical=True)
        self._middle = titled_card("", self.views)
        self.stale = stale_mark()
        self._costs_area = named(scrolling(self.costs), "Costs")
        right = titled_card("Costs", self.work, self._costs_area, trailing=self.stale)
        self._side = Side(right, self.views, "costs")
        self.splitter = splitter(self._left, self._middle, self._side, sizes=(336, 764, 330), grows=1)
        contents = self.bar, self.splitter
        self.setLayout(column(*contents, spacing=SPACE + SPACE // 2, grows=self.splitter, margin=2 * SPACE))
        RelayoutOnResize(self, self._arrange)

    def minimumSizeHint(self) -> QSize:
        return QSize(max(self._least_width, self.bar.minimumSizeHint().width()), super().minimumSizeHint().height())

    @property
    def _least_width(self) -> int:
        """The minimum width of slots and views in pixels, without the costs."""
        between = 2 * self.splitter.handleWidth() + 4 * SPACE  # and this tab's margins
        return self._left.minimumSizeHint().width() + self._middle.minimumSizeHint().width() + between

    def _arrange(self) -> None:
        self._side.fit(self._least_width, self.width())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:  # the style sheet sets the width of scroll bars
            self.work.setContentsMargins(0, 0, SPACE // 2 + self._costs_area.verticalScrollBar().sizeHint().width(), 0)

    def _connect(self) -> None:
        session = self._session
        self._commit_timer.timeout.connect(self._on_pause)
        self.form.changed.connect(self._on_edited)
        self.form.problem_changed.connect(self._on_problem_changed)
        self.work.changed.connect(self._draw)
        self.views.edited.connect(self.form.apply)
        self.views.slot_focused.connect(self.show_slot)
        self.views.view_changed.connect(self._on_view_changed)
        self.costs.dry_run_requested.connect(self._on_dry_run)
        self.costs.dry_run_cancel_requested.connect(self.dry_runs.cancel)
        self.costs.design_requested.connect(lambda config: self.form.apply(vars(config)))
        self.costs.batch_requested.connect(self.work.batch.setValue)
        self.list.chosen.connect(self._on_chosen)
        self.list.rename_requested.connect(self._on_rename)
        self.list.duplicate_requested.connect(self._on_duplicate)
        self.list.delete_requested.connect(session.designs.delete)
        self.list.compare_requested.connect(self._on_compare)
        session.designs.changed.connect(self._on_design_changed)
        session.designs.renamed.connect(self._on_renamed)
        session.designs.list_changed.connect(self._on_library_changed)
        session.blocks.changed.connect(self._on_blocks_changed)
        session.blocks.measured.connect(self._on_blocks_changed)
        session.device.changed.connect(self._on_device_changed)
        self.dry_runs.changed.connect(self._on_dry_run_changed)
        self.files.written.connect(lambda name: self.bar.say(f"Saved to {name}"))
        save = QShortcut(QKeySequence(QKeySequence.StandardKey.Save), self, self._on_save)
        save.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    # -- Following the session -----------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._measure_listed()

    def _measure_listed(self) -> None:
        self._session.blocks.measure_listed(info.config for info in self._own.values() if info.config is not None)

    @Slot()
    def _on_library_changed(self) -> None:
        self._own = {info.name: info for info in self._session.designs.inspect()}
        self.list.set_designs(list(self._own.values()), self._session.designs.name)
        if self.isVisible():
            self._measure_listed()
        self._allow()
        if not self._session.designs.name and not self._commit_timer.isActive():
            self._on_pause()  # a restored design gets its name back

    @Slot()
    def _on_design_changed(self) -> None:
        self._commit_timer.stop()
        config, name = self._session.designs.current, self._session.designs.name
        shown, shown_as = self.form.config, self._title()
        if name:
            self._origin = ComparedDesign(name, config)
            self.bar.name.setText(self._session.designs.free_name(f"my-{name}") if name in PRESETS else name)
        if config != shown or self.form.problem:
            self.form.set_config(config)
            changed = changed_slots(shown, config)
            self.form.mark({f.name for f in changed})
            self.bar.say(describe_changes(changed, f"changed from {shown_as}"))
        elif name:
            self.bar.say("")
        self._note(f"choice of {design_title(self._origin.title) or 'a design'}")
        self._draw()
        self.list.set_designs(list(self._own.values()), name)
        self._allow()

    def _title(self) -> str:
        """Return the title of the design in the form, with “edited” if it differs from the opened one."""
        if self._origin.title and self.form.config == self._origin.config:
            return design_title(self._origin.title)
        return f"{design_title(self._origin.title)}, edited" if self._origin.title else "an edited design"

    def _allow(self) -> None:
        self.bar.allow(
            is_own=self._origin.title in self._own,
            is_changed=self.form.config != self._origin.config,
            has_blocks=self.form.config.has_custom_blocks,
            problem=self.form.problem,
        )

    # -- Following edits -----------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_edited(self, config: ModelConfig) -> None:
        slots = [f.name for f in changed_slots(self._noted[1], config)]
        words = slots[0] if len(slots) == 1 else f"{len(slots)} settings"
        self._note(f"change of {words}", key=" ".join(slots))
        self._show_edited(config)

    def _show_edited(self, config: ModelConfig) -> None:
        self._draw()
        origin = design_title(self._origin.title) or "the start"
        changed = changed_slots(self._origin.config, config)
        self.bar.say(describe_changes(changed, f"{'differs' if len(changed) == 1 else 'differ'} from {origin}"))
        self._allow()
        self._commit_timer.start()

    def _note(self, words: str, *, key: str = "") -> None:
        """Add an undo step if the design in the form has changed. Steps with the same `key` may be merged."""
        before, after = self._noted, (self._origin, self.form.config)
        self._noted = after
        if before[1] != after[1]:
            step = Step(words, lambda: self._restore(*before), lambda: self._restore(*after), key=key)
            self._session.undo.add("builder", step)

    def _restore(self, origin: ComparedDesign, config: ModelConfig) -> None:
        """Undo or redo a step: show `config` as an edit of `origin`."""
        self._commit_timer.stop()
        changed = changed_slots(self.form.config, config)
        self._origin, self._noted = origin, (origin, config)
        if origin.title:
            own = origin.title not in PRESETS
            self.bar.name.setText(origin.title if own else self._session.designs.free_name(f"my-{origin.title}"))
        self.form.set_config(config)
        self.form.mark({f.name for f in changed})
        self._show_edited(config)
        self._on_pause()

    def _draw(self) -> None:
        config: ModelConfig = self.form.config
        self.work.set_context(config.context_length)
        batch, length = self.work.values
        self.views.set_design(config, batch, length, self._title())
        self.costs.set_design(config, batch, length, self._session.blocks.obstacle(config, batch, length))
        self.blocks.show_design()

    @Slot()
    def _on_blocks_changed(self) -> None:
        """Show what is known of the design's custom blocks now; numbers of other designs may be known, too."""
        self._draw()
        if self.form.config.has_custom_blocks:
            self.views.refresh()
        self.list.refresh_sizes()

    @Slot()
    def _on_pause(self) -> None:
        """Pass the form's design to the session."""
        config, origin = self.form.config, self._origin
        is_same = config == origin.config and (origin.title in PRESETS or origin.title in self._own)
        same = origin.title if is_same else same_preset(config)
        self._session.designs.set(config, same)
        self._allow()

    def _flush(self) -> None:
        if self._commit_timer.isActive():
            self._commit_timer.stop()
            self._on_pause()

    def hideEvent(self, event: QHideEvent) -> None:
        self._flush()
        super().hideEvent(event)

    @Slot(str)
    def _on_problem_changed(self, sentences: str) -> None:
        self.views.diagram.set_problem(self.form.problem_slot)
        show_if(sentences, self.views.stale, self.stale)
        if sentences:
            self.bar.say(
                f"{sentences.splitlines()[0]} The views and costs show the last legal design.", is_problem=True
            )
        else:
            self.bar.say("")
        self._allow()

    @Slot(str)
    def show_slot(self, name: str) -> None:
        """Bring the editor of a setting, or the settings of a group, into view."""
        if name in self.form.rows:
            self.form.show_slot(name)
        elif name in _BLOCKS:
            self.blocks.section.show_slot(name)
        else:
            self.form.show_group(name)

    @Slot(str)
    def _on_view_changed(self, name: str) -> None:
        if name == "compare" and len(self.views.view(name).designs) == 1:  # a comparison needs two
            self._on_compare("gpt2-tiny" if self._origin.title != "gpt2-tiny" else "llama-tiny")

    @Slot()
    def _on_device_changed(self) -> None:
        self.costs.set_device_memory(self._session.device.memory)

    @Slot()
    def _on_dry_run(self) -> None:
        batch, length = self.work.values
        self.dry_runs.start(self.form.config, TrainConfig(batch_size=batch), length)

    @Slot()
    def _on_dry_run_changed(self) -> None:
        state = self.dry_runs.state
        self.costs.set_dry_run(state.result, state.running, state.phase)

    # -- Designs -------------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_chosen(self, name: str) -> None:
        if not self._session.designs.choose(name):
            self._on_library_changed()

    @Slot(str)
    def _on_compare(self, name: str) -> None:
        config = PRESETS.get(name) or self._own[name].config
        if config is not None:
            self.views.view("compare").add_design(ComparedDesign(design_title(name), config))
            self.views.show_view("compare")

    @Slot(str)
    def _on_rename(self, name: str) -> None:
        new, agreed = QInputDialog.getText(self, "Rename design", "New name", text=name)
        new = new.strip()
        if agreed and new and new != name:
            self._session.designs.rename(name, new)

    @Slot(str, str)
    def _on_renamed(self, name: str, new_name: str) -> None:
        if name == self._origin.title:
            self._origin = ComparedDesign(new_name, self._origin.config)
            self.bar.name.setText(new_name)

    @Slot(str)
    def _on_duplicate(self, name: str) -> None:
        self._commit()
        if name != self._origin.title or not name:
            self._session.designs.duplicate(name)
        elif not self.form.problem:  # with its edits
            self._session.designs.save(self._session.designs.free_name(name))

    @Slot()
    def _on_revert(self) -> None:
        self._commit_timer.stop()
        self.form.set_config(self._origin.config)
        self._on_edited(self._origin.config)
        self._on_pause()

    def _on_save(self) -> None:
        self._commit()
        if self.form.problem:
            return
        name = self.bar.name.text().strip()
        if name != self._origin.title or name in PRESETS:
            name = self._session.designs.free_name(name)  # only the opened design may be overwritten
        if self._session.designs.save(name):
            self.bar.say(f"Saved as “{name}”")

    def _on_train(self) -> None:
        self._commit()
        if not self.form.problem:
            self._session.go(ShowPlace("training"))

    def _on_train_twin(self) -> None:
        self._commit()
        if not self.form.problem:
            name = self._session.designs.name or self.bar.name.text().strip() or "design"
            dialog = TwinDialog(self._session, self._theme, name, self.form.config, self.window())
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.open()

    def _commit(self) -> None:
        self.form.commit()
        self._flush()

    def _on_export(self) -> None:
        self._commit()
        if not self.form.problem:
            self.files.export_design(self.bar.name.text())

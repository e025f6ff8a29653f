"""`headrace check`: what becomes of every object of a repository, from the facts that `plan` goes by."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import asdict, dataclass

from headrace.deploy.commands.apply import rehearse
from headrace.deploy.commands.text_table import text_table
from headrace.deploy.settings import Settings
from headrace.featurestore.compile.feature_parts import FeatureParts
from headrace.featurestore.compile.features import survey_features
from headrace.featurestore.compile.verdicts import Verdict, judge, tell, verdicts
from headrace.featurestore.feast_repo.config_notes import config_notes
from headrace.featurestore.feast_repo.environment import config_name
from headrace.featurestore.feast_repo.modules import LEARNERS_FILE
from headrace.learners.compile.plan import compile_learners
from headrace.learners.project import Project, load_project
from headrace.schemas.errors import DefinitionError, ServiceUnavailable, each_error

RUNS, LEAVES_OUT, REFUSES = 0, 1, 2
_ENDINGS = {
    RUNS: "",
    LEAVES_OUT: " `headrace apply` leaves out what cannot run; the rest runs.",
    REFUSES: " `headrace apply` refuses the project until what is refused is corrected.",
}


@dataclass(frozen=True)
class Check:
    """The verdicts of a project.

    Attributes
    ----------
    verdicts
        The project's own first, which has what concerns all of it.
    """

    verdicts: tuple[Verdict, ...]

    @property
    def exit_code(self) -> int:
        """0: everything runs; 1: something is left out; 2: `headrace apply` refuses the project."""
        if any(verdict.refused for verdict in self.verdicts):
            return REFUSES
        return LEAVES_OUT if any(verdict.outcome == "cannot" for verdict in self.verdicts) else RUNS

    def counts(self) -> dict[str, int]:
        """Return the number of objects by outcome."""
        counts = Counter(verdict.outcome for verdict in self.verdicts)
        return {outcome: counts[outcome] for outcome in ("runs", "runs with a difference", "cannot")}

    def table(self) -> list[str]:
        """Return a line for each object, or for each reason where there are several, and the sum of all."""
        rows = [("object", "verdict", "why")]
        for verdict in self.verdicts:
            name = f"{verdict.kind} {verdict.name}".strip()
            first, *more = _reasons(verdict) or ("",)
            rows += [(name, verdict.outcome, first), *(("", "", reason) for reason in more)]
        run, differ, cannot = self.counts().values()
        total = f"{len(self.verdicts)} objects: {run} run, {differ} run with a difference, {cannot} cannot."
        return [*text_table(rows), total + _ENDINGS[self.exit_code]]

    def json(self) -> str:
        """Return the verdicts and the numbers as JSON."""
        told = {"objects": [asdict(verdict) for verdict in self.verdicts], "counts": self.counts()}
        return json.dumps(told, indent=2)


def check_project(settings: Settings) -> Check:
    """Judge every object of a repository. Nothing is written; neither Kafka nor Redis is asked.

    Raises
    ------
    DefinitionError
        When the repository cannot be read at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Feast's, about what the user may write
        parts = survey_features(settings.project_dir)
        return Check((_of_project(settings, parts), *verdicts(parts), *_of_learners(settings, parts)))


def _of_project(settings: Settings, parts: FeatureParts) -> Verdict:
    """The verdict of what concerns the whole project: its configuration, and whether Feast takes it."""
    told = config_notes(parts.repository.config, settings.redis)
    file = config_name(parts.repository.path)
    notes = [note.removeprefix(f"{file}: ") for note in told]
    errors: list[DefinitionError] = []
    try:
        if not parts.repository.errors:  # of Python files, which the rehearsal would raise again
            rehearse(settings)
    except DefinitionError as error:
        errors.append(error)
    except ServiceUnavailable as error:
        name, remedy = f"project '{parts.project}'", "Without it `headrace plan` and `apply` end"
        errors.append(DefinitionError(file, name, str(error), remedy))
    line = None
    if errors and errors[0].file != str(parts.repository.path):
        file, line = errors[0].file, errors[0].line
    return judge("Project", parts.project, file, errors, notes, line)


def _of_learners(settings: Settings, parts: FeatureParts) -> tuple[Verdict, ...]:
    """The verdicts of learners and routers; an error of their file is one of its own."""
    errors: tuple[DefinitionError, ...] = ()
    project = Project(settings.project_dir / LEARNERS_FILE)
    try:
        project = load_project(settings.project_dir)
        compile_learners(project, parts)
    except DefinitionError as error:
        errors = each_error(error)
    items = [*project.learners, *project.routers]
    return tuple(tell(items, errors, {id(item): project.file.name for item in items}))


def _reasons(verdict: Verdict) -> list[str]:
    refused = "refused: " if verdict.refused else ""
    where = f"{verdict.place}: " if verdict.outcome == "cannot" and verdict.file else ""
    return [f"{refused}{where}{reason}" for reason in verdict.why]

"""`labeltrain project`: a person in the loop, by files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Label with a person in the loop.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The project's directory.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
FAR = 100  # labels until the first accuracy from which a larger audit share is worth a word


@app.command()
def new(
    folder: Folder,
    data: Annotated[str, typer.Option(help="CSV, JSONL, Parquet, npz, npy, folder of images ...")],
    classes: Annotated[
        str,
        typer.Option(
            help="Class names with commas between, 'a,b,\"c, d\"'; may be left out if the data "
            "hold labels."
        ),
    ] = "",
    text_column: Annotated[str | None, typer.Option()] = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="Labels that are there already are taken in; '' ignores them."),
    ] = None,
    id_column: Annotated[str | None, typer.Option()] = None,
    image_column: Annotated[str | None, typer.Option()] = None,
    delimiter: Annotated[str | None, typer.Option()] = None,
    encoding: Annotated[str | None, typer.Option()] = None,
    encoder: Annotated[str, typer.Option(help="labeltrain list encoders.")] = "auto",
    learner: Annotated[str, typer.Option(help="labeltrain list learners.")] = "linear",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A parameter of the learner, key=value: --set steps=200; of the encoder: "
            "--set encoder.max_length=64; of the strategy: --set strategy.rare=spam.",
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="labeltrain list strategies; auto: uherding, margin above 20,000 items and for "
            "networks."
        ),
    ] = "auto",
    query: Annotated[
        list[str] | None,
        typer.Option(
            help="What is looked for, in words: the texts most similar to it are asked first. May "
            "be given several times."
        ),
    ] = None,
    views: Annotated[
        int,
        typer.Option(
            help="Augmented views of each text or image, encoded once, for semi-supervised "
            "learners; 0: they make views of the features."
        ),
    ] = 0,
    audit: Annotated[
        float, typer.Option(help="Share of the questions that measures and never trains.")
    ] = 0.1,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Begin a project."""
    from labeltrain.cli.output import Bar
    from labeltrain.errors import BadInput
    from labeltrain.projects import Project
    from labeltrain.projects.words import many
    from labeltrain.studies.overrides import overridden

    given = overridden({}, set_ or (), {})
    encoder_options = given.pop("encoder", {})
    strategy_options = given.pop("strategy", {})
    if not isinstance(strategy_options, dict):
        raise BadInput(
            f"--set strategy={strategy_options}", "give --strategy, and --set strategy.KEY=VALUE"
        )
    options: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "id_column": id_column,
        "image_column": image_column,
        "delimiter": delimiter,
        "encoding": encoding,
    }
    with Bar() as bar:
        begun: list[bool] = []

        def progress(done: int, total: int) -> None:
            if not begun:
                bar.stage("encode", total)
                begun.append(True)
            bar.advance_to(done)

        project = Project.new(
            folder,
            data,
            classes=_names(classes),
            encoder=encoder,
            encoder_options=encoder_options,
            learner=learner,
            learner_options=given,
            strategy=strategy,
            strategy_options=strategy_options,
            query=query or (),
            views=views,
            audit_share=audit,
            seed=seed,
            progress=progress,
            **{k: v for k, v in options.items() if v is not None},
        )
    with project:
        state = project.status()
        unused = views > 0 and not project.learner().uses_views
    if unused:
        typer.echo(f"{learner} uses no views: they wait for save-model --final", err=True)
    labels = f", {state['labels']} of them labelled already" if state["labels"] else ""
    typer.echo(
        f"{folder}: {many(state['items'], 'item')}{labels}; classes: {_listed(state['classes'])}"
    )
    audited = state["audit"]
    if audited["next_at"] is None:
        typer.echo(_never(state))
    else:
        typer.echo(
            f"first accuracy after about {_about(audited['labels_to_first'])}: "
            f"{audited['next_at']} of them, drawn at random, measure{_sooner(audited)}"
        )
    typer.echo(f"Next: labeltrain project next {folder} --count 20 --out todo.csv")


@app.command("next")
def next_(
    folder: Folder,
    out: Annotated[Path, typer.Option(help=".csv, .tsv, .jsonl or .parquet, to be filled in.")],
    count: Annotated[int, typer.Option(help="How many items.")] = 20,
    strategy: Annotated[
        str | None, typer.Option(help="Another than the project's, for this batch.")
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(help="What is looked for, in words: the texts most similar are asked now."),
    ] = None,
    of: Annotated[
        int | None,
        typer.Option(
            help="Questions in a whole round, for galaxy, direct and tailor: groups of --count "
            "follow one another until so many are asked. 10 times --count if left out."
        ),
    ] = None,
    reissue: Annotated[
        bool, typer.Option(help="Write out again what was asked and not answered yet.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Replace the file, whatever it holds.")] = False,
) -> None:
    """Choose what to label next and write it to a file with an empty label column."""
    from labeltrain.errors import BadInput, StoreUnwritable
    from labeltrain.projects import Project
    from labeltrain.projects.answering import skip_word
    from labeltrain.projects.files import check_writable, write_rows
    from labeltrain.projects.items import shown_columns
    from labeltrain.projects.words import many

    check_writable(out)
    with Project.open(folder) as project:
        if out.exists() and not force and not project.knows(out):
            raise BadInput(
                f"{out} is there already, and not all that is in it was told",
                "tell it first, choose another file, or --force",
            )
        waiting = len(project.state.pending)
        rows = (
            project.reissue()
            if reissue
            else project.next(count, strategy=strategy, of=of, query=query or ())
        )
        classes, skip = _listed(project.state.classes), skip_word(project.state.classes)
        now = project.state.opened
        whole = now.budget if now is not None and now.asked >= now.budget and not reissue else 0
        if rows:
            try:
                write_rows(out, rows, shown_columns(project.items, ["label"]), for_people=True)
            except StoreUnwritable as error:
                raise StoreUnwritable(
                    error.problem,
                    f"{error.remedy}; the choice is kept, write it out again with: "
                    f"labeltrain project next {folder} --reissue --out FILE",
                ) from error
    if waiting and not reissue:
        typer.echo(
            f"{many(waiting, 'item')} asked earlier {'has' if waiting == 1 else 'have'} no answer "
            f"yet; --reissue writes {'it' if waiting == 1 else 'them'} again."
        )
    if not rows:
        if reissue:
            left = "is open: no item that was asked waits for an answer"
        else:
            left = "new is left to ask" if waiting else "is left to ask: every item has an answer"
        typer.echo(f"nothing {left}; no file was written")
        return
    typer.echo(f"{out}: {many(len(rows), 'item')}. Fill in label: {classes}; or {skip}.")
    if len(rows) < count and not reissue:
        typer.echo(
            f"{count} were asked for: the round of {whole} ends here; the next begins a new one."
            if whole
            else f"{count} were asked for; no more are left."
        )
    typer.echo(f"Then: labeltrain project tell {folder} {out}")


def _names(text: str) -> list[str]:
    """Split at commas; a name that holds one is written in double quotes."""
    import csv

    return [
        name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' if "," in name else name for name in names)


def _about(labels: int) -> str:
    from labeltrain.projects.words import many

    return many(round(labels, -1) if labels >= 100 else labels, "label")


def _sooner(audit: dict[str, Any]) -> str:
    """Say how to wait less for the first measurement, where the wait is long."""
    if audit["labels_to_first"] <= FAR:
        return ""
    return f"; a larger --audit than {audit['share']:g} at `project new` brings it sooner"


def _never(found: dict[str, Any]) -> str:
    from labeltrain.loop.audit import FIRST

    audit = found["audit"]
    usable = audit["reserved"] - audit["skipped"]
    if audit["score"] is not None:
        return (
            f"accuracy: it will not be measured again, because only {usable} random items "
            "are set aside for it"
        )
    if audit["share"] == 0:
        why = "its share of the questions is 0"
    else:
        skips = f", and {audit['skipped']} were skipped" if audit["skipped"] else ""
        why = (
            f"the first measurement takes {FIRST} random labels, and only {audit['reserved']} of "
            f"the {found['items']} items are set aside for it{skips}"
        )
    share = audit["smallest_share"]
    if share is None:
        remedy = "these items are too few for any --audit; begin a project with more of them"
    else:
        remedy = f"to know it, begin a new project with --audit {share:g} or more"
    return f"accuracy: it will never be measured, because {why}; {remedy}"


@app.command()
def tell(
    folder: Folder,
    answers: Annotated[Path, typer.Argument(help="A file with the columns id and label.")],
    annotator: Annotated[
        str, typer.Option(help="Who answered, where the file has no column annotator.")
    ] = "",
    add_classes: Annotated[
        bool, typer.Option("--add-classes", help="Take unknown labels as new classes.")
    ] = False,
    id_column: Annotated[str | None, typer.Option()] = None,
    label_column: Annotated[str | None, typer.Option()] = None,
    encoding: Annotated[str, typer.Option()] = "utf-8",
    json_: Json = False,
) -> None:
    """Take answers in: labels, skip, withdraw; all of the file or nothing."""
    from labeltrain.cli.output import as_json
    from labeltrain.projects import Project
    from labeltrain.projects.words import many

    with Project.open(folder) as project:
        before = len(project.state.classes)
        counts = project.tell(
            answers,
            annotator=annotator,
            add_classes=add_classes,
            id_column=id_column,
            label_column=label_column,
            encoding=encoding,
        )
        labels = len(project.state.labels())
        added = project.state.classes[before:]
    if json_:
        as_json({**counts, "labels": labels, "classes_added": added})
        return
    if added:
        typer.echo(f"new class{'' if len(added) == 1 else 'es'}: {_listed(added)}")
    said = ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "nothing new"
    typer.echo(f"{said}; {many(labels, 'label')} in all")


@app.command("drop-class")
def drop_class(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="The class.", metavar="NAME")],
) -> None:
    """Take back a class that was added by mistake; refused while an answer uses it."""
    from labeltrain.projects import Project

    with Project.open(folder) as project:
        project.drop_class(name)
        left = _listed(project.state.classes)
    typer.echo(f"dropped; classes: {left}")


@app.command()
def status(folder: Folder, json_: Json = False) -> None:
    """Show labels, the audited score with its interval, classes and agreement."""
    from labeltrain.cli.output import as_json
    from labeltrain.errors import LabelTrainError
    from labeltrain.projects import Project

    # Looking is free: it waits for nobody and stops nobody, unless a measurement is due.
    with Project.open(folder, read_only=True) as project:
        found = project.status()
    if found["audit"]["due"]:
        try:
            with Project.open(folder) as project:
                found = project.status()
        except LabelTrainError as error:
            typer.echo(f"warning: a measurement is due: {error.problem}", err=True)
    as_json(found) if json_ else _print_status(found)


def _print_status(found: dict[str, Any]) -> None:
    from labeltrain.cli.output import as_table
    from labeltrain.projects.words import many

    audit, agreement = found["audit"], found["agreement"]
    typer.echo(
        f"{many(found['labels'], 'label')} of {many(found['items'], 'item')} "
        f"in {many(found['rounds'], 'round')}; "
        f"{found['open']} open, {found['skipped']} skipped"
    )
    aside = found["labels"] - found["training_labels"]
    if aside:
        what = "is an audit label, which measures and never trains"
        if aside > 1:
            what = "are audit labels, which measure and never train"
        typer.echo(f"{found['training_labels']} of the labels train; {aside} {what}")
    if audit["score"] is not None:
        typer.echo(
            f"accuracy: {audit['score']:.3f} ({audit['low']:.3f} to {audit['high']:.3f}, 95 %, "
            f"valid at any time), measured on {audit['measured_on']} random audit labels "
            f"at {audit['measured_at_training_labels']} training labels"
        )
    elif audit["next_at"] is not None:
        typer.echo(
            f"accuracy: not known yet: {audit['labels']} of {audit['next_at']} audit labels, "
            f"about {_about(audit['labels_to_first'])} more{_sooner(audit)}"
        )
    if audit["next_at"] is None:
        typer.echo(_never(found))
    elif audit["score"] is not None:
        typer.echo(f"next measured at {audit['next_at']} audit labels; there are {audit['labels']}")
    if agreement["items"]:
        alpha = agreement["krippendorff_alpha"]
        typer.echo(
            f"agreement on {many(agreement['items'], 'item')} with several annotators: "
            f"{agreement['pairwise']:.3f} of pairs"
            + ("" if alpha is None else f", Krippendorff's alpha {alpha:.3f}")
            + f"; {agreement['disputed']} with different labels"
        )
    kept = found["model"]
    if kept is not None:
        holds = (
            ""
            if kept["memory_items"] is None
            else f", with a memory of {many(kept['memory_items'], 'item')} "
            f"({kept['memory_bytes'] / 1000:.1f} kB)"
        )
        typer.echo(f"{found['learner']} goes on from the model of round {kept['round']}{holds}")
    typer.echo("")
    as_table([{"class": c, "labels": n} for c, n in found["classes"].items()])


@app.command()
def predict(
    folder: Folder,
    out: Annotated[Path, typer.Option(help=".csv, .tsv, .jsonl or .parquet.")],
    model: Annotated[
        Path | None,
        typer.Option(help="A file of save-model; it predicts instead of the project's own."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option(help="A column for each class: how likely it is, says the model.")
    ] = False,
) -> None:
    """Write a label and a calibrated confidence for every item."""
    from labeltrain.projects import Project, load_model
    from labeltrain.projects.files import check_writable, write_rows
    from labeltrain.projects.words import many

    check_writable(out)
    with Project.open(folder, read_only=True) as project:
        saved = project.model() if model is None else load_model(model)
        rows = project.predict(saved, probabilities=probabilities)
        given = project.spec["learner_options"] if model is None else {}
        known = len(project.state.audited()) if model is None else None
    write_rows(out, rows, list(rows[0]))
    typer.echo(f"{out}: {many(len(rows), 'item')}; confidence: {_calibration(saved.facts, known)}")
    if given.get("logit_adjustment") or given.get("class_weight", "none") != "none":
        typer.echo(
            "The learner makes up for rare classes: confidence in one of them is higher than the "
            "share of such answers that are right."
        )


@app.command()
def export(
    folder: Folder,
    out: Annotated[Path, typer.Option(help=".csv, .tsv, .jsonl or .parquet.")],
) -> None:
    """Write every answer: one row per item and annotator, with the item's label."""
    from labeltrain.projects import Project
    from labeltrain.projects.files import check_writable, write_rows
    from labeltrain.projects.items import shown_columns
    from labeltrain.projects.words import many

    check_writable(out)
    with Project.open(folder, read_only=True) as project:
        rows = project.export()
        more = ["label", "annotator", "answer", "chosen_by", "audit"]
        write_rows(out, rows, shown_columns(project.items, more))
    typer.echo(f"{out}: {many(len(rows), 'answer')}")


@app.command()
def history(folder: Folder, json_: Json = False) -> None:
    """Show what happened, oldest first."""
    from labeltrain.cli.output import as_json, as_table
    from labeltrain.projects import Project

    with Project.open(folder, read_only=True) as project:
        rows = project.history()
    as_json(rows) if json_ else as_table(rows)


@app.command("save-model")
def save_model(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="An .npz file; loads without pickle.")],
    final: Annotated[
        str | None,
        typer.Option(
            help="Train this learner instead, on all labels so far: finetune, mean-teacher ... "
            "(labeltrain list learners). The project goes on with its own."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, a parameter of it: --set steps=200."),
    ] = None,
    json_: Json = False,
) -> None:
    """Write the trained model; load it with labeltrain.projects.load_model.

    A long training that was stopped goes on when the same command is run again.
    """
    from labeltrain.cli.output import as_json
    from labeltrain.errors import BadInput
    from labeltrain.projects import Project
    from labeltrain.projects.files import check_place
    from labeltrain.projects.saving import checked
    from labeltrain.projects.words import many
    from labeltrain.studies.overrides import overridden

    if out.suffix.lower() != ".npz":
        raise BadInput(f"{out}: a model file ends in .npz", f"use {out.with_suffix('.npz')}")
    if set_ and final is None:
        raise BadInput(
            f"--set {set_[0]} is for another learner", "name it: --final finetune --set steps=200"
        )
    options = overridden({}, set_ or (), {})
    check_place(out)
    with Project.open(folder, read_only=True) as project:
        if final is None:
            saved = project.model()
        else:
            checked(project, final, options)
            labels = many(len(project.state.training()[0]), "label")
            typer.echo(f"{final} on {labels} ...", err=True)
            saved = project.final(final, options)
        known = len(project.state.audited())
    saved.save(out)
    if json_:
        about = {"out": str(out), "temperature": saved.temperature, "audit_labels": known}
        as_json({**about, **saved.facts})
        return
    if final is not None:
        _print_final(saved.facts, known)
    typer.echo(f"{out}: load it with labeltrain.projects.load_model({str(out)!r})")
    if final is not None:
        typer.echo(f"Or: labeltrain project predict {folder} --out all.csv --model {out}")


def _print_final(facts: dict[str, Any], known: int) -> None:
    from labeltrain.loop.audit import FIRST
    from labeltrain.projects.words import many

    typer.echo(
        f"{facts['learner']}: {many(facts['training_labels'], 'label')}, "
        f"{facts['examples']:,} examples, {facts['seconds']:.1f} s"
    )
    audit, own = facts["audit"], facts["own"]
    if audit is None:
        typer.echo(f"accuracy: not known yet: {known} of {FIRST} audit labels")
    else:
        typer.echo(
            f"accuracy: {_interval(audit)}, on {known} random audit labels; "
            f"of {own['learner']}, the project's own: {_interval(own)}"
        )
    typer.echo(f"confidence: {_calibration(facts, known)}")


def _calibration(facts: dict[str, Any], known: int | None) -> str:
    """Say what the confidence of a model rests on; `known`: audit labels there are for it."""
    from labeltrain.loop.audit import FIRST

    if facts.get("calibrated_on") == "audit":
        return "calibrated on the audit labels"
    if facts.get("calibrated_on") == "out of fold":
        labels = facts.get("training_labels", "few")
        return f"calibrated on out-of-fold predictions of {labels} labels"
    return "not calibrated" + ("" if known is None else f": {known} of {FIRST} audit labels")


def _interval(found: dict[str, Any]) -> str:
    return f"{found['score']:.3f} ({found['low']:.3f} to {found['high']:.3f}, 95 %)"

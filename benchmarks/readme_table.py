"""README's table of numbers, made from the stored results; it measures nothing.

`python -m benchmarks.readme_table` writes it into README.md, and a test holds README to it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["README", "STORED", "table", "with_table"]

README = Path(__file__).parents[1] / "README.md"
RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- numbers: made by python -m benchmarks.readme_table -->", "<!-- end of numbers -->"
STORED = (
    "pipeline",
    "similarity_merge",
    "capture",
    "checkpoint",
    "preprocessing",
    "models",
    "archive",
    "crash",
    "mqtt",
)
SHAPE = "[32 x 768], B = 1"


def main() -> None:
    """Writes the table between its two marks."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


def with_table(text: str) -> str:
    """README's text with the table as the results have it. Raises: ValueError where a mark is missing."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"README.md lacks its marks: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    """Rows of what was measured, and under them with what, each benchmark by its own run."""
    stored = {name: _stored(name) for name in STORED}
    rows = [
        *_pipeline_rows(stored["pipeline"]["figures"]),
        *_consolidation_rows(stored["similarity_merge"]["figures"]),
        *_capture_rows(stored["capture"]["figures"]),
        *_checkpoint_rows(stored["checkpoint"]["figures"]),
        *_preprocessing_rows(stored["preprocessing"]["figures"]),
        *_models_rows(stored["models"]["figures"]),
        *_archive_rows(stored["archive"]["figures"]),
        *_crash_rows(stored["crash"]["figures"]),
        *_mqtt_rows(stored["mqtt"]["figures"]),
    ]
    lines = ["| measured | figure |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    return "\n".join([*lines, "", *(_provenance(name, result) for name, result in stored.items())])


def _stored(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def _pipeline_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    memory, asked = figures["file_to_memory"], figures["questions"]
    marks = {mark["frames"]: mark for mark in memory["marks"]}
    host = ", ".join(f"{mark['host_bytes'] / 1e6:.1f}" for mark in marks.values())
    own = {f"{mark['memory_bytes'] / 1e6:.1f}" for mark in marks.values()}
    at = ", ".join(f"{frames:,}" for frames in marks)
    return [
        (
            "frames per second from an H.264 file (640x360) to long-term memory, every frame encoded",
            f"{memory['frames_per_second_mean']} (median of 5 s: {memory['frames_per_second_median_of_5_s']})",
        ),
        (f"host memory of the whole process at {at} frames", f"{host} MB"),
        ("Longwatch's memory in it, at each of them", f"{' / '.join(sorted(own))} MB"),
        (
            "growth of the process from the first of these to the last (wanted: under 1 %)",
            f"{memory['host_growth_after_first_mark']:.2%}",
        ),
        ("frames dropped on the way", str(memory["frames_dropped"])),
        (
            f"frames lost on a live camera at {asked['encoded_fps_configured']:g} frames per second encoded while "
            f"{asked['questions']} questions are answered without a rest",
            f"{asked['frames_lost']} of {asked['frames_encoded_meanwhile']}",
        ),
        (
            "first token after a question, median (worst)",
            f"{asked['first_token_seconds_median']} s ({asked['first_token_seconds_max']} s)",
        ),
    ]


def _consolidation_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    cases = {case["case"]: case for case in figures["cases"]}
    rows = []
    for steps in ("18->2", "256->128"):
        case = cases[f"{steps} {SHAPE}"]
        figure = " / ".join(
            f"{case[kind]['loop_over_ours']} times ({case[kind]['ours']['median_ms']} ms)"
            for kind in ("token_cosine", "mean_dot")
        )
        what = "`token_cosine` / `mean_dot` against the published loop's form"
        rows.append((f"consolidation {steps.replace('->', ' to ')} slots {SHAPE}: {what}", figure))
    return rows


def _capture_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    lag, encoded = figures["lag_p99_seconds"], figures["with_encoder"]
    return [
        ("decoding a file against a bare PyAV loop (1 is equal)", f"{figures['decode_ratio_to_pyav']}"),
        (
            "lag of an RTSP camera (15 fps), p99, consumer ten times too slow: Longwatch / OpenCV's VideoCapture "
            "after 40 s",
            f"{lag['ours_slow_consumer']:.2f} s / {lag['videocapture_slow_consumer']:.1f} s",
        ),
        (
            "1080p cameras (15 fps) that two cores read, decode and watch for changes: busy / still scenes",
            f"{figures['cameras']['busy']} / {figures['cameras']['still']}",
        ),
        (
            f"{encoded['num_cameras']} busy 1080p cameras with encoder and memory: encoded per second each, lost",
            f"{encoded['encoded_per_second_and_camera']}, {encoded['lost']}",
        ),
    ]


def _checkpoint_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    others, hour = (
        ", ".join(f"{name} {share:.1%} of {asked['num_asked'][name]}" for name, share in asked["exact_match"].items())
        for asked in (figures, figures["hour"])
    )
    return [
        (
            f"of the things that the bundled checkpoint names on {figures['num_worlds']} unseen worlds, there in that "
            "colour",
            f"{figures['precision']:.1%}",
        ),
        ("of the things that are there, named in their colour", f"{figures['recall']:.1%}"),
        ("exact match of its other answers", others),
        ("exact match after an hour's memory, in wordings that it did not learn", hour),
    ]


def _preprocessing_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    named = ", ".join(
        f"{family} {each['pillow_over_ours']} times ({each['ours_ms']} ms)"
        for family, each in figures["families"].items()
    )
    return [(f"a frame of {figures['picture']} made a model's pixels, against its own processor on Pillow", named)]


def _models_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, each in figures["models"].items():
        short = name.rpartition("/")[2]
        encoding, camera = each["encoding"], each["beside_a_camera"]
        asked = list(zip(each["answering"], each["plain_transformers"], strict=True))
        slots, first, again, plain = (
            ", ".join(str(value) for value in values)
            for values in zip(*(_first_tokens(ours, theirs) for ours, theirs in asked), strict=True)
        )
        rows += [
            (
                f"`{name}` (random weights of its shape, {figures['dtype']}): frames encoded per second, bytes kept of "
                "each",
                f"{encoding['frames_per_second_of_4']}, {encoding['bytes_per_frame'] / 1e3:.0f} kB",
            ),
            (
                f"{short}: first token from a memory of {slots} slots; of another question about it",
                f"{first} s; {again} s",
            ),
            (f"{short}: the same question in plain transformers, with as many frames as pictures", plain),
            (
                f"{short}: words per second; while a camera of 2 frames per second runs, first token, frames encoded "
                "per second, frames lost",
                f"{asked[0][0]['words_per_second']}; {camera['first_token_seconds_median']} s, "
                f"{camera['frames_encoded_per_second']}, {camera['frames_dropped']}",
            ),
        ]
    return rows


def _archive_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    marks = figures["marks"]
    days = ", ".join(str(mark["day"]) for mark in marks)
    first, last = marks[0], marks[-1]
    looked_at = ", ".join(str(mark["moments_looked_at_p50"]) for mark in marks)
    recalls = ", ".join(f"{mark['recall_ms_p50']} ({mark['recall_ms_p99']})" for mark in marks)
    hosts = ", ".join(f"{mark['host_bytes'] / 1e6:.0f}" for mark in marks)
    return [
        (
            f"the archive of one camera for {figures['days']} days ({figures['frames'] / 1e6:.1f} million frames): "
            "bytes and moments of a day, of all",
            f"{first['used_bytes'] / 1e6:.0f} MB and {first['moments']}, {last['used_bytes'] / 1e6:.0f} MB and "
            f"{last['moments']}",
        ),
        ("a write to it, median (99th percentile)", f"{last['write_ms_p50']} ms ({last['write_ms_p99']} ms)"),
        (
            f"recall at a random time after {days} days, median (99th percentile); moments looked at; host memory",
            f"{recalls} ms; {looked_at}; {hosts} MB",
        ),
    ]


def _crash_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (
            f"{figures['kills']} times killed with SIGKILL at a random instant: archives that did not open, moments "
            f"lost that were older than the ring's {figures['ring_seconds']} s, of",
            f"{figures['open_failures']}, {figures['moments_lost_beyond_ring']}, {figures['moments_told']}",
        )
    ]


def _mqtt_rows(figures: dict[str, Any]) -> list[tuple[str, str]]:
    told, rate, lost = figures["told"], figures["frames_per_second"], figures["frames_lost"]
    return [
        (
            f"a question over MQTT, median: added to the same one in process ({figures['in_process_ms']['p50']} ms)",
            f"{figures['added_ms']['p50']} ms",
        ),
        (
            f"{figures['at_once']} questions at once to {figures['cameras']} cameras, {figures['bursts']} times: "
            "answered, told busy, lost; frames per second of each camera before and meanwhile, lost",
            f"{told.get('answered', 0)}, {told.get('busy', 0)}, {told.get('nothing', 0)}; {rate['quiet']}, "
            f"{rate['asked']}, {lost['asked']}",
        ),
    ]


def _first_tokens(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[Any, Any, Any, str]:
    """(slots, seconds, seconds of another question, what plain transformers takes)."""
    again = ours["first_token_of_another_question_about_the_same_evidence_seconds"]
    seconds = theirs["first_token_seconds"]
    plain = theirs["why"] if seconds is None else f"{theirs['over_ours']} times as long"
    return ours["slots"], ours["first_token_seconds"], again, plain


def _provenance(name: str, result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    known = ", ".join(f"{package} {versions[package]}" for package in ("torch", "transformers", "av"))
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}"
    day = result["measured_at"][:10]
    return f"`{name}`: {where}; Python {versions['python']}, {known}; commit {result['commit']}, {day}.  "


if __name__ == "__main__":
    main()

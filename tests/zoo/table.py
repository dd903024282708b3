"""The zoo: every specimen, how each of its calls ends, and what becomes of it.

`PYTHONPATH=. python tests/zoo/table.py` prints it as it stands in docs/isolation.md.
"""

from __future__ import annotations

from specimens import (
    CALM,
    Expected,
    Specimen,
    busy,
    cut_off,
    died,
    invalid,
    late,
    loading,
    not_loaded,
    ok,
    raised,
    refused,
    told,
    unread,
    unsendable,
)

from crunch_game import Sandbox
from crunch_game.encoding import NO_TABLE

MIB = 1024 * 1024
HASTE = 0.6
"""Seconds for a call that somebody will not answer."""
NOT_PERMITTED = "PermissionError: [Errno 1] Operation not permitted"
DENIED = "PermissionError: [Errno 13] Permission denied: '{any}'"
SIGNALS = "lets a model signal only itself, and what it has started"
OTHERS = "keeps a model away from other processes"
NETWORK = "allows no network; a game that needs it says Sandbox(network=True)"
PROCESSES = "allows no processes and no programs; a game that needs them says Sandbox(processes=True)"
READS = "lets a model read only its submission, and write only in {any}, where relative paths lead; this is {any}"
WRITES = "lets a model write only in {any}, where relative paths lead; this is {any}"
SHARES = "gives models no memory that others could see; a game that needs it says Sandbox(write=['/dev/shm'])"
PROCESSOR_TIME = "gives a model's process 1 s of processor time (Sandbox(cpu=...))"
EXIT = "something in it called os._exit, or native code called exit"
UNREADABLE = "it answered with a message that cannot be read"
HUNG_UP = "it closed its connection to the game"
USE_PLAIN = "cannot be sent; use numbers, str, list or dict instead"
FLATTER = "use a flatter list or dict instead"
NO_NUMBER = "Input should be a valid number, not"
UNRUN = "cannot be sent, for nothing of it has run"
REFUSED = "the model that {}.py makes, of class Model, has a predict,"
NO_DICT = "Input should be a dict, not"
INFINITE = "NaN and infinity are not allowed"


def memory(mib: int) -> str:
    """The barrier of memory."""
    return f"lets a model use {mib} MiB of memory (Sandbox(memory=...))"


def fails(how: Expected, times: int = 3) -> dict:
    """It fails each time, until it is stopped."""
    failures = "1 failure" if times == 1 else f"{times} failures"
    sentence = f"{failures} of predict in a row (the limit is {times}); the last: {how.sentence}"
    return {"rounds": (how,) * times, "stopped": sentence, "limit": times}


def dies(how: Expected, times: int = 3) -> dict:
    """It dies each time, and is restarted until it is stopped."""
    return {**fails(how, times), "lives": times}


def times_out(*rounds: Expected) -> dict:
    """It is late three times, and then stopped."""
    method, last = rounds[-1].method, rounds[-1].sentence
    sentence = f"3 timeouts of {method} in a row (the limit is 3); the last: {last}"
    return {"rounds": rounds, "stopped": sentence, "budget": HASTE}


def hangs(method: str = "predict") -> dict:
    """It never comes back from its first call."""
    return times_out(late(method), busy(method, method), busy(method, method))


def plays(*rounds: Expected) -> dict:
    """It goes on playing."""
    return {"rounds": rounds or (ok(method="tick"), ok(), ok())}


def fails_to_load(sentence: str) -> dict:
    """It never plays."""
    return {"rounds": (not_loaded(sentence), not_loaded(sentence)), "lives": 0}


def hangs_while_loading() -> dict:
    """It never plays, and nobody waits for it."""
    sentence = "loading it took longer than 3 s (setup_timeout)"
    return {"rounds": (loading(), loading(), not_loaded(sentence)), "lives": 0, "setup_timeout": 3.0}


def counted(number: int) -> Expected:
    """Its answer to that call, and to no other."""
    return ok({**CALM, "mean": float(number)})


LATE = (
    Specimen("spins", **hangs()),
    Specimen("sleeps", **hangs()),
    Specimen("spins_in_c", **hangs()),
    Specimen("ignores_signals", **hangs()),
    Specimen("stops_itself", **hangs()),
    Specimen("hangs_in_tick", **hangs("tick")),
    Specimen("hangs_in_its_exception", **hangs()),
    Specimen("hangs_when_its_answer_is_deleted", **hangs()),
    Specimen("traces_the_runner", **hangs()),
    Specimen("hiccups", (late(), busy(), counted(2), counted(3)), budget=1.5),
    Specimen("every_second_late", (counted(1), late(), counted(3), late(), counted(5)), budget=1.0),
    Specimen(
        "spins_and_is_restarted",
        **times_out(late(), late(), late()),
        lives=3,
        model="spins",
        what='It computes for ever, and the policy is on_timeout="restart".',
        on_timeout="restart",
    ),
    Specimen("spins_after_its_answer", **plays()),
    Specimen("breaks_the_clock", **plays()),
    Specimen("hangs_at_exit", **plays()),
)
LOADING = (
    Specimen("hangs_in_import", **hangs_while_loading()),
    Specimen("hangs_in_init", **hangs_while_loading()),
    Specimen("raises_in_init", **fails_to_load("raises_in_init.py: Model() raised KeyError: 'weights'")),
    Specimen(
        "is_async",
        **fails_to_load(f"{REFUSED.format('is_async')} which is async: the game calls it and awaits nothing{{any}}"),
    ),
    Specimen("is_a_generator", **fails_to_load(f"{REFUSED.format('is_a_generator')} which is a generator: {{any}}")),
    Specimen("interrupts_in_import", **fails_to_load("KeyboardInterrupt")),
    Specimen("quits_in_import", **fails_to_load("quits_in_import.py: importing it raised SystemExit: nothing to do")),
    Specimen("exits_in_import", **fails_to_load(f"its process ended while it was loading: exit code 3; {EXIT}")),
    Specimen("lies_about_its_load", **fails_to_load(UNREADABLE)),
    Specimen("prints_while_importing", **plays()),
)
ENDS = (
    Specimen("exits", **dies(died(f"exit code 3; {EXIT}", 3))),
    Specimen("exits_in_good_order", **dies(died(f"exit code 0; {EXIT}", 0))),
    Specimen(
        "segfaults",
        **dies(
            died(
                "signal 11 (SIGSEGV); it used memory that is not its own; most often a bug in a native library, "
                "or endless recursion",
                -11,
            )
        ),
    ),
    Specimen("aborts", **dies(died("signal 6 (SIGABRT); native code gave up, and mostly says on stderr why", -6))),
    Specimen(
        "kills_itself",
        **dies(
            died(
                "signal 9 (SIGKILL); the game did not send it: most often memory ran out, of the machine or of its "
                "control group; it had used {s} MiB",
                -9,
            )
        ),
    ),
    Specimen("is_killed_by_its_alarm", **dies(died("signal 14 (SIGALRM); a timer that it had set ran out", -14))),
    Specimen(
        "recurses_without_limit",
        **dies(died("signal 11 (SIGSEGV); its recursion went too deep for native code", -11)),
    ),
    Specimen("dies_after_its_answer", (ok(), ok(life=2), ok(life=3)), lives=4),
)
RAISES = (
    Specimen("raises_system_exit", **fails(raised("SystemExit: 3"))),
    Specimen("raises_system_exit_in_a_thread", **plays()),
    Specimen("raises_keyboard_interrupt", **fails(raised("KeyboardInterrupt"))),
    Specimen("raises_a_base_exception", **fails(raised("Doom: all is lost"))),
    Specimen("recurses", **fails(raised("RecursionError: maximum recursion depth exceeded{any}"))),
    Specimen("raises_what_has_no_text", **fails(raised("Mute: (its __str__ raised RuntimeError)"))),
    Specimen("raises_what_has_no_name", **fails(raised("{any}"))),
    Specimen("raises_100_mb", **fails(raised("ValueError: xxx{any}\n[...]\n{any}xxx"))),
    Specimen("raises_a_type_with_a_long_name", **fails(raised("xxx{any}"))),
)
ANSWERS = (
    Specimen("answers_nan", **fails(invalid(f"at ['mean'] stands nan; {INFINITE}"))),
    Specimen("answers_infinity", **fails(invalid(f"at ['scale'] stands inf; {INFINITE}"))),
    Specimen("answers_complex", **fails(unsendable(f"a complex {USE_PLAIN}"))),
    Specimen("answers_a_numpy_scalar", **plays()),
    Specimen("answers_a_numpy_array", **fails(invalid(f"{NO_DICT} [0.0, 1.0]"))),
    Specimen(
        "answers_a_numpy_array_of_nan",
        **fails(invalid(f"at ['scale'] stands a ndarray that holds one; {INFINITE}")),
    ),
    Specimen("answers_a_set", **fails(invalid(f"{NO_DICT} [{{any}}]"))),
    Specimen("answers_a_tuple", **fails(invalid(f"{NO_DICT} [0.0, 1.0]"))),
    Specimen("answers_nothing", **fails(invalid(f"{NO_DICT} None"))),
    Specimen("answers_int_keys", **fails(invalid("it has the key 0, which should be a str"))),
    Specimen("answers_none_keys", **fails(invalid("it has the key None, which should be a str"))),
    Specimen(
        "answers_2_to_the_70",
        **fails(unsendable("it holds an integer of more than 64 bits; use a float or a str instead")),
    ),
    Specimen("answers_a_datetime", **fails(invalid(f"at ['mean']: {NO_NUMBER} '2026-01-01T00:00:00Z'"))),
    Specimen("answers_a_dataframe", **fails(unread(f"the answer cannot be read: {NO_TABLE}"))),
    Specimen("answers_booleans", **fails(invalid(f"at ['mean']: {NO_NUMBER} False; at ['scale']: {NO_NUMBER} True"))),
    Specimen("answers_a_generator", **fails(unsendable(f"a generator {UNRUN}; return a list instead"))),
    Specimen("answers_with_a_coroutine", **fails(unsendable(f"a coroutine {UNRUN}; write def instead of async def"))),
    Specimen("answers_what_reduces_to_a_command", **fails(unsendable(f"a Bomb {USE_PLAIN}"))),
    Specimen("answers_what_dumps_itself", **fails(unsendable(f"it is nested too deeply; {FLATTER}"))),
    Specimen("answers_300_deep", **fails(invalid(f"it is nested more than 100 levels deep; {FLATTER}"))),
    Specimen(
        "answers_5000_deep",
        **dies(cut_off("a frame could not be read: maximum recursion depth exceeded{any}")),
    ),
    Specimen("answers_too_deep", **fails(unsendable(f"it is nested too deeply; {FLATTER}"))),
    Specimen("answers_subclasses", **fails(raised("RuntimeError: no number"))),
    Specimen("answers_a_type_with_a_long_name", **fails(unsendable("a xxx{any}"))),
    Specimen("answers_a_long_key", **fails(invalid(f"at ['kkk{{any}}...]: {NO_NUMBER} 'wrong'"))),
    Specimen("answers_100000_mistakes", **fails(invalid(f"at ['0']: {NO_NUMBER} 'no'"))),
    Specimen("answers_four_million_lists", **fails(unsendable("it takes 4 MiB; at most 1 MiB can be sent"))),
    Specimen(
        "answers_a_million_lists",
        **fails(invalid(f"at ['mean']: {NO_NUMBER} {'[' + '[], ' * 18}{{any}}"), times=1),  # to check it takes seconds
    ),
    Specimen("answers_200_mb", **fails(unsendable("it takes 191 MiB; at most 1 MiB can be sent"))),
    Specimen("answers_64_mib_and_a_byte", **fails(unsendable("it takes 64 MiB; at most 1 MiB can be sent"))),
)
EATS = (
    Specimen("eats_memory", **fails(refused("MemoryError", memory(256))), sandbox=Sandbox(memory=256 * MIB)),
    Specimen("eats_memory_at_once", **fails(refused("MemoryError", memory(512))), sandbox=Sandbox(memory=512 * MIB)),
    Specimen(
        "answers_200_mb_in_little_memory",
        **fails(refused("MemoryError", memory(300))),
        model="answers_200_mb",
        what="It answers with a text of 200 MB, and has no memory to send it.",
        sandbox=Sandbox(memory=300 * MIB),
    ),
    Specimen("eats_memory_without_collection", **plays()),
    Specimen(
        "eats_threads",
        **fails(refused("RuntimeError: can't start new thread", memory(512))),
        sandbox=Sandbox(memory=512 * MIB),
    ),
    Specimen(
        "eats_descriptors",
        **fails(
            refused(
                "OSError: [Errno 24] Too many open files: '/dev/null'",
                "lets a model have 512 open files (Sandbox(descriptors=...))",
            )
        ),
    ),
    Specimen(
        "eats_processor_time",
        **dies(died(f"signal 24 (SIGXCPU); the sandbox {PROCESSOR_TIME}", -24), times=2),
        model="spins",
        what="It computes for ever, and may have a second of processor time: Sandbox(cpu=1).",
        sandbox=Sandbox(cpu=1),
    ),
    Specimen(
        "fills_its_folder",
        **fails(refused("OSError: [Errno 27] File too large", "lets a file have 4 MiB (Sandbox(file_size=...))")),
        sandbox=Sandbox(file_size=4 * MIB),
    ),
    Specimen("leaves_files", **plays()),
    Specimen("deletes_its_folder", **plays()),
    Specimen("floods_stdout", **plays()),
    Specimen("floods_stderr", **plays()),
    Specimen("floods_and_dies", **dies(died(f"exit code 3; {EXIT}", 3))),
    Specimen("maps_shared_memory", **fails(refused(DENIED, SHARES))),
    Specimen("gets_a_system_v_segment", **fails(raised(NOT_PERMITTED))),
)
MEDDLES = (
    Specimen("writes_to_every_descriptor", **dies(cut_off("a frame of 4096 MiB was announced"))),
    Specimen("closes_every_descriptor", **dies(cut_off(HUNG_UP))),
    Specimen("closes_its_channel", **dies(cut_off(HUNG_UP))),
    Specimen("replaces_its_channel", **dies(cut_off(HUNG_UP))),
    Specimen("forges_an_answer", **dies(cut_off("it answered a call that it was not asked"))),
    Specimen("steals_its_calls", **times_out(ok(), late(), busy(), busy())),
    Specimen(
        "lies_about_its_answers",
        (
            unread("the answer cannot be read: an extension of type 9 is not known"),
            unread(UNREADABLE),
            unread(UNREADABLE),
            raised("yyy{any}"),
        ),
        stopped="4 failures of predict in a row (the limit is 4); the last: yyy{any}",
        limit=4,
    ),
)
CHANGES = (
    Specimen("queue", **plays()),
    Specimen("shadows_modules", **plays()),
    Specimen("changes_its_directory", **plays()),
    Specimen("changes_its_path", **plays()),
    Specimen("changes_its_output", **plays()),
    Specimen("changes_its_warnings", **plays()),
    Specimen("changes_its_locale", **plays()),
    Specimen("changes_its_environment", **plays(ok(), ok(lambda found: "SECRET" not in found, "remark"), ok())),
    Specimen("lowers_its_limits", **plays()),
    Specimen("raises_its_priority", **fails(refused(NOT_PERMITTED, "gives every model the same priority"))),
)
REACHES = (
    Specimen("kills_its_parent", **fails(refused(NOT_PERMITTED, SIGNALS))),
    Specimen("kills_its_group", **fails(refused(NOT_PERMITTED, SIGNALS))),
    Specimen("kills_the_coordinator", **fails(refused(NOT_PERMITTED, SIGNALS))),
    Specimen("reads_the_coordinators_environment", **fails(refused(DENIED, OTHERS))),
    Specimen("reads_a_rival", **fails(refused(DENIED, READS))),
    Specimen("reads_a_rival_by_a_link", **fails(refused(DENIED, READS))),
    Specimen("looks_at_the_other_folders", **fails(refused(DENIED, READS))),
    Specimen("opens_a_socket", **fails(refused(NOT_PERMITTED, NETWORK))),
    Specimen("asks_the_internet", **fails(refused("URLError: {any}", NETWORK))),
    Specimen("writes_outside", **fails(refused(DENIED, READS))),
    Specimen("writes_its_submission", **fails(refused(DENIED, WRITES))),
)
LEAVES = (
    Specimen("forks", **fails(refused(NOT_PERMITTED, PROCESSES))),
    Specimen("runs_a_program", **fails(refused(NOT_PERMITTED, PROCESSES))),
    Specimen("forks_and_both_answer", (ok(), ok(life=2), ok(life=3)), lives=4, sandbox=Sandbox(processes=True)),
    Specimen("leaves_children", **plays(ok(), ok()), sandbox=Sandbox(processes=True)),
    Specimen("leaves_children_and_dies", **dies(died(f"exit code 3; {EXIT}", 3)), sandbox=Sandbox(processes=True)),
    Specimen("floods_by_a_grandchild", **plays(ok()), sandbox=Sandbox(processes=True)),
)
ZOO = {
    "It is late": LATE,
    "It does not load": LOADING,
    "Its process ends": ENDS,
    "It raises": RAISES,
    "Its answer is none": ANSWERS,
    "It eats the machine": EATS,
    "It meddles with the runner's part of its process": MEDDLES,
    "It changes its surroundings": CHANGES,
    "It reaches for others": REACHES,
    "It leaves something running": LEAVES,
}
SPECIMENS = [specimen for kind in ZOO.values() for specimen in kind]


CAGE = 6
"""How many play in one runner: so few that most of the field is never at fault, which would be the game's fault."""


def cages() -> dict[str, tuple[Specimen, ...]]:
    """The specimens of a kind that play under the same conditions, a few at a time, by the names of the first."""
    found: dict[tuple[object, ...], list[Specimen]] = {}
    for heading, kind in ZOO.items():
        for specimen in kind:
            found.setdefault((heading, *specimen.conditions), []).append(specimen)
    chunks = [together[at : at + CAGE] for together in found.values() for at in range(0, len(together), CAGE)]
    return {f"{chunk[0].name} and {len(chunk) - 1} more": tuple(chunk) for chunk in chunks}


def page() -> str:
    """The table as Markdown."""
    lines = []
    for heading, kind in ZOO.items():
        lines += [f"### {heading}", "", "| model | it does | its outcomes | then |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(told(specimen))} |" for specimen in kind]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")

"""Readers of traces: a small file of each format, whole values, and words about lines that are bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rackplane.simulator.jobs import TraceJob
from rackplane.simulator.traces.reading import FORMATS, Trace, TraceError, read_trace

DATA = Path(__file__).parents[2] / "data"


def read(folder: Path, text: str, name: str = "trace.csv", **options: Any) -> Trace:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_trace(path, **options)


def test_our_own_columns(tmp_path: Path) -> None:
    text = """\
submit,duration,gpus,name,segment,queue,priority,power,user
0,3600,128,pretrain,64,research,10,MaxQ,ann
2024-01-01 00:01:00,10.4,4,,,,,5200/6400,
7,1,8,eval,,,-3,5200,bob
"""
    trace = read(tmp_path, text)
    assert (trace.file, trace.format, trace.rows, trace.bad_lines, dict(trace.left_out)) == (
        *("trace.csv", "rackplane", 3, 0, {}),
    )
    assert trace.jobs == [
        TraceJob(
            "pretrain",
            0,
            3600,
            128,
            None,
            segment_gpus=64,
            queue="research",
            priority=10,
            profile="MaxQ",
            user="ann",
        ),
        TraceJob("line-3", 1_704_067_260, 10, 4, node_watts=5200, node_peak_watts=6400),
        TraceJob("eval", 7, 1, 8, priority=-3, node_watts=5200, user="bob"),
    ]


def test_itp_and_the_cuts_in_the_data(tmp_path: Path) -> None:
    itp = read(tmp_path, "job_id,submission_time,duration,num_gpu\nc9c6,5810,288476,16\n")
    assert (itp.format, itp.jobs) == ("itp", [TraceJob("c9c6", 5810, 288_476, 16)])
    kalos = read_trace(DATA / "acme/kalos_completed_jobs.csv")
    assert (kalos.format, len(kalos.jobs), kalos.bad_lines) == ("kalos", 319, 0)
    assert (kalos.jobs[2], max(job.gpus for job in kalos.jobs)) == (TraceJob("2", 14435, 2252, 64), 1024)


def test_acme_as_published_and_helios(tmp_path: Path) -> None:
    acme = """\
job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue
d1,u1,2,16,32,Pretrain,COMPLETED,2023-07-01 00:00:00+08:00,2023-07-01 00:00:05+08:00,x,600,5
d2,u1,1,0,8,Other,COMPLETED,2023-07-01 00:00:01+08:00,2023-07-01 00:00:05+08:00,x,600,5
"""
    trace = read(tmp_path, acme)
    assert (trace.format, dict(trace.left_out)) == ("acme", {"asks for no GPU": 1})
    assert trace.jobs == [TraceJob("d1", 1_688_140_800, 600, 16, 2, queue="Pretrain", user="u1")]
    helios = """\
job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue
7,uA,vcX,8,64,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0
8,uA,vcX,8,64,1,CANCELLED,2020-06-09 18:41:02,,2020-06-09 18:41:20,0,18
"""
    trace = read(tmp_path, helios)
    assert (trace.format, dict(trace.left_out)) == ("helios", {"never started": 1})
    assert trace.jobs == [TraceJob("7", 1_591_728_061, 36848, 8, 1, queue="vcX", user="uA")]


def test_openb_leaves_out_parts_of_a_gpu_and_what_never_ran(tmp_path: Path) -> None:
    text = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
p0,12000,16384,1,1000,,LS,Running,10,110,20
p1,6000,12288,1,460,,LS,Running,11,111,21
p2,12000,24576,2,1000,,BE,Pending,12,112,
"""
    trace = read(tmp_path, text)
    assert dict(trace.left_out) == {"shares a GPU with others": 1, "never started": 1}
    assert trace.jobs == [TraceJob("p0", 10, 90, 1, 1, queue="LS")]


def test_philly_runs_for_as_long_as_its_attempts_did(tmp_path: Path) -> None:
    host = {"ip": "m1", "gpus": [f"gpu{i}" for i in range(8)]}
    first = {"start_time": "2017-10-07 01:12:09", "end_time": "2017-10-07 01:13:23", "detail": [host]}
    last = {"start_time": "2017-10-07 01:13:30", "end_time": "2017-10-07 02:13:30", "detail": [host, host]}
    unknown = {"start_time": "None", "end_time": "None", "detail": []}
    job = {"status": "Pass", "vc": "v", "user": "u", "submitted_time": "2017-10-07 01:11:39"}
    entries = [
        {**job, "jobid": "a1", "attempts": [first, unknown, last]},
        {**job, "jobid": "a2", "attempts": []},
        {**job, "jobid": "a3", "attempts": [{**last, "end_time": None}]},
        {**job, "jobid": "a4", "attempts": "none"},
    ]
    trace = read(tmp_path, json.dumps(entries), "cluster_job_log", most_bad_percent=25)
    assert trace.jobs == [TraceJob("a1", 1_507_338_699, 74 + 3600, 16, 2, queue="v", user="u")]
    assert dict(trace.left_out) == {"never started": 1, "ran on after the trace was taken": 1}
    assert [str(bad) for bad in trace.bad] == [
        "4: attempts is no list of objects; take the file as it was published"
    ]


def test_sacct_with_steps_arrays_and_what_was_cancelled(tmp_path: Path) -> None:
    text = """\
JobID|Submit|Start|End|Elapsed|AllocTRES|ReqTRES|NNodes|Partition|QOS|Priority|State
10|2024-01-01T00:00:00|2024-01-01T01:00:00|2024-01-02T03:04:05|1-02:04:05|billing=64,cpu=64,gres/gpu=16,node=2|x|2|train,all|normal|900|COMPLETED
10.batch|2024-01-01T00:00:00|2024-01-01T01:00:00|2024-01-02T03:04:05|1-02:04:05|cpu=32,gres/gpu=8|x|1||||COMPLETED
11_4|2024-01-01T00:00:10|2024-01-01T00:00:11|Unknown|02:30|cpu=4,gres/gpu:a100=2,gres/gpu:h100=1|x|1|train|normal|1|RUNNING
11_[5-9%2]|2024-01-01T00:00:10|None|Unknown|00:00:00||gres/gpu=1|1|train|normal|1|PENDING
12|2024-01-01T00:00:20|None|2024-01-01T00:00:30|00:00:00||gres/gpu=8|1|train|normal|1|CANCELLED by 1000
13|2024-01-01T00:00:20|2024-01-01T00:00:30|2024-01-01T00:00:40||cpu=4|gres/gpu=8|1|train|normal|1|FAILED
14|2024-01-01T00:00:20|2024-01-01T00:00:30|2024-01-01T00:00:40|00:00:10|cpu=4|cpu=4|1|cpu|normal|1|COMPLETED
15|soon|2024-01-01T00:00:30|2024-01-01T00:00:40|00:00:10|gres/gpu=1|x|1|train|normal|1|COMPLETED
"""
    trace = read(tmp_path, text, "sacct.txt", most_bad_percent=20)
    assert (trace.format, trace.rows) == ("sacct", 8)
    assert trace.jobs == [
        TraceJob("10", 1_704_067_200, 93_845, 16, 2, queue="train"),
        TraceJob("11_4", 1_704_067_210, 150, 3, 1, queue="train"),
        TraceJob("13", 1_704_067_220, 10, 8, 1, queue="train"),
    ]
    assert dict(trace.left_out) == {
        "is a step of a job": 1,
        "stands for tasks of an array that have not started": 1,
        "was cancelled before it started": 1,
        "asks for no GPU": 1,
    }
    assert [str(bad) for bad in trace.bad] == [
        '9: Submit is "soon", no time; write seconds, or a time such as 2020-06-09 18:41:01'
    ]


def test_bad_lines_are_told_with_line_field_and_remedy_and_too_many_stop_it(tmp_path: Path) -> None:
    lines = "0,10,4,,", "1,-5,4,,", "2,10,2.5,,", "3,10,4,8,", "4,10,4,,6/5", "5,,4,,", "x,1,4,,"
    rows = "\n".join(("submit,duration,gpus,segment,power", *lines))
    bad = [
        "3: duration is -5; write a number of 0 to 632,448,000",
        "4: gpus is 2.5; write a whole number",
        "5: segment is 8, above gpus; write at most 4, or leave it empty",
        '6: power is "6/5"; write a power profile, or the watts of a node: 5200, or 5200/6400 with the '
        "peak, up to 1000000",
        "7: duration is empty; write a number of 0 or more",
        '8: submit is "x", no time; write seconds, or a time such as 2020-06-09 18:41:01',
    ]
    trace = read(tmp_path, rows, most_bad_percent=90)
    assert (len(trace.jobs), trace.bad_lines, [str(b) for b in trace.bad]) == (1, 6, bad)
    with pytest.raises(TraceError) as error:
        read(tmp_path, rows)
    first, *told = str(error.value).splitlines()
    path = tmp_path / "trace.csv"
    assert first == (
        f"{path}: 6 of 7 lines are bad, more than 1 %: correct them, name another --format than rackplane, or allow "
        "more with --bad-lines"
    )
    assert told == [f"  {path}:{line}" for line in bad]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (
            "a,b\n1,2\n",
            {},
            "trace.csv:1: its columns are those of no known format; one of these needs to be there:",
        ),
        (
            "a,b\n1,2\n",
            {"format": "itp"},
            "trace.csv:1: has no column duration, job_id, num_gpu, submission_time",
        ),
        (
            "a,b\n1,2\n",
            {"format": "pbs"},
            f"--format pbs: there is none; it is one of auto, {', '.join(FORMATS)}",
        ),
        ("[1, ", {}, "trace.csv:1: is no JSON: Expecting value"),
        ("submit,duration,gpus\n", {}, "has no job to run (it has no lines)"),
        ("submit,duration,gpus\n1,1,0\n", {}, "has no job to run (1: asks for no GPU)"),
        ("", {}, "its columns are those of no known format"),
    ],
)
def test_what_is_no_trace(tmp_path: Path, text: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(TraceError) as error:
        read(tmp_path, text, **options)
    assert words in str(error.value)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.csv: cannot be read: No such file"):
        read_trace(tmp_path / "none.csv")
    (tmp_path / "zipped").write_bytes(b"\x1f\x8b\xff\x00")
    with pytest.raises(TraceError, match="is no text in UTF-8"):
        read_trace(tmp_path / "zipped")

#!/usr/bin/env python3
"""worker.py - makes a report of each request that comes in as a line, and answers with a line (see handler exec).

A request that was worked on before, and comes again after a crash, gets the report that it got: the file REPORTS_DB knows it by its
id. After MAX_RETRIES further attempts it is given up, and the response says why.
"""
import datetime
import json
import os
import sqlite3
import sys
import uuid

RETRIES = int(os.environ.get("MAX_RETRIES", "3"))


def store_open():
    store = sqlite3.connect(os.environ["REPORTS_DB"], timeout=30, isolation_level=None)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL)")
    store.execute(
        "CREATE TABLE IF NOT EXISTS reports (id TEXT PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, user_id TEXT REFERENCES users(id), "
        "content TEXT NOT NULL, created_at TEXT NOT NULL)"
    )
    return store


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


def user_find(store, name):
    """The id of the user of that name, who is made where there is none."""
    store.execute("INSERT INTO users VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING", (str(uuid.uuid4()), name, now()))
    return store.execute("SELECT id FROM users WHERE name = ?", (name,)).fetchone()[0]


def content_make(given):
    """The report itself: put yours here. Whatever it raises is a failed attempt, and ValueError a request that cannot succeed."""
    if not given:
        raise ValueError("there is nothing to report on")
    lines = [f"# Report on {len(given)} fields", ""]
    for name, value in sorted(given.items()):
        if isinstance(value, list) and value and all(isinstance(x, (int, float)) for x in value):
            lines.append(f"- {name}: {len(value)} values, sum {sum(value)}, mean {sum(value) / len(value):.2f}")
        else:
            lines.append(f"- {name}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def report_find(store, request_id):
    return store.execute("SELECT id, content FROM reports WHERE request_id = ?", (request_id,)).fetchone()


def report_make(store, request_id, given):
    """The id and the text of the report of a request. The file is not locked while the report is made: others work beside this one."""
    found = report_find(store, request_id)
    if found is None:
        content = content_make({k: v for k, v in given.items() if k != "user_id"})
        name = given.get("user_id")
        user = user_find(store, str(name)) if name is not None else None
        store.execute(
            "INSERT INTO reports VALUES (?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING",
            (str(uuid.uuid4()), request_id, user, content, now()),
        )
        found = report_find(store, request_id)
    return found


def response(request_id, status, report_id=None, error=None):
    return {"request_id": request_id, "status": status, "report_id": report_id, "error_message": error}


def work(store, task):
    request_id = next((v for k, v in task["headers"].items() if k.lower() == "request-id"), "")
    if task["attempt"] > RETRIES + 1:
        return {"payload": response(request_id, "error", error=f"given up: {RETRIES + 1} attempts have failed")}
    try:
        given = json.loads(task["payload"])
        if not request_id:
            raise ValueError("request_id: is empty")
        report_id, content = report_make(store, request_id, given)
    except ValueError as error:
        return {"payload": response(request_id, "error", error=str(error))}
    except Exception as error:  # pylint: disable=broad-except
        if task["attempt"] <= RETRIES:
            return {"fail": str(error)}
        return {"payload": response(request_id, "error", error=str(error))}
    return {
        "messages": [
            {"payload": response(request_id, "success", report_id)},
            {"payload": {"report_id": report_id, "request_id": request_id, "content": content}, "subject": "report"},
        ]
    }


def main():
    store = store_open()
    for line in sys.stdin:
        task = json.loads(line)
        answer = work(store, task)
        answer["token"] = task["token"]
        print(json.dumps(answer, ensure_ascii=False), flush=True)


main()

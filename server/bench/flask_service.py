"""The seeds' kind of service, as its teams would write it: Flask, psycopg with a pool (or sqlite3), one statement a request."""

import os
import sqlite3
import threading
import uuid
from datetime import datetime, timezone

from flask import Flask, jsonify, request

app = Flask(__name__)
URL = os.environ["DATABASE_URL"]
COLUMNS = "id, name, age, email, created_at, updated_at, row_version"
SELECT = f"SELECT {COLUMNS} FROM employees"
LIST = f"{SELECT} ORDER BY created_at, id LIMIT 51"

if URL.startswith("sqlite:"):
    local = threading.local()

    def query(sql, values):
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(URL.removeprefix("sqlite://"), timeout=5, isolation_level=None)
            local.connection.execute("PRAGMA journal_mode = WAL")
            local.connection.execute("PRAGMA synchronous = FULL")
        return local.connection.execute(sql.replace("%s", "?"), values)

    def rows(sql, values=()):
        return query(sql, values).fetchall()

    write = query

    def stored(value):
        return value.isoformat() if isinstance(value, datetime) else str(value)

else:
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(URL, min_size=4, max_size=4, kwargs={"autocommit": True, "prepare_threshold": 1}, open=True)

    def rows(sql, values=()):
        with pool.connection() as connection:
            return connection.execute(sql, values).fetchall()

    def write(sql, values):
        with pool.connection() as connection:
            connection.execute(sql, values)

    def stored(value):
        return value


def shown(row):
    iso = lambda value: value.isoformat() if isinstance(value, datetime) else value
    return {
        "id": str(row[0]),
        "name": row[1],
        "age": row[2],
        "email": row[3],
        "created_at": iso(row[4]),
        "updated_at": iso(row[5]),
    }


@app.get("/api/employees/<uuid:key>")
def get(key):
    found = rows(f"{SELECT} WHERE id = %s", (stored(key),))
    return jsonify(shown(found[0])) if found else (jsonify(message="row not found"), 404)


@app.get("/api/employees")
def page():
    return jsonify(items=[shown(row) for row in rows(LIST)[:50]])


@app.post("/api/employees")
def create():
    body = request.get_json()
    name, age, email = body.get("name"), body.get("age"), body.get("email")
    if not isinstance(name, str) or not isinstance(age, int) or not isinstance(email, str) or "@" not in email:
        return jsonify(message="wrong fields"), 422
    key, now = uuid.uuid4(), datetime.now(timezone.utc)
    row = (key, name, age, email, now, now, 1)
    write(f"INSERT INTO employees ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)", tuple(stored(v) if isinstance(v, (uuid.UUID, datetime)) else v for v in row))
    return jsonify(shown(row)), 201

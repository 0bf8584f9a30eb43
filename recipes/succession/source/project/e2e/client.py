"""A client of the service under test, as the specs use it."""

import os

import httpx

BASE = os.environ.get("SERVICE_URL", "http://127.0.0.1:8000")


def post(path: str, **body: str) -> str:
    return httpx.post(f"{BASE}{path}", json=body).raise_for_status().json()["reponse"]


def ask(prompt: str) -> str:
    return post("/dossiers", prompt=prompt)

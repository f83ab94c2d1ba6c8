"""The service under attack, and the people in it: whose secrets are planted, who tries to read them, and the owners of
doors that others must not find."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import bcrypt
import httpx
import pyotp
from bs4 import BeautifulSoup

from infra.home import running_store
from shared.chat import AccountRole
from shared.scopes import SCOPES
from shared.store import Store
from tests.fuzz.tally import Tally
from tests.fuzz.wire import Answer, Request
from tests.picture_files import png
from tests.service import PASSWORD, READY, ROOT, Person

_FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
_READY_WITHIN_S = 60.0
_END_WITHIN_S = 30.0
# So that whatever is refused is refused for what it is, not because the fuzz is busy: a 503 is a fault here.
_SETTINGS = {
    "NUNMAL_WEB__TRIES_PER_ACCOUNT": "1000000",
    "NUNMAL_WEB__TRIES_PER_ADDRESS": "1000000",
    "NUNMAL_WEB__SIGN_UPS_PER_ADDRESS": "1000000",
    "NUNMAL_WEB__ANSWERS_PER_USER": "100000",
    "NUNMAL_WEB__TOKENS_PER_MINUTE": "0",
    "NUNMAL_WEB__TOKENS_PER_DAY": "0",
    "NUNMAL_WEB__WAITING_ROOM": "100000",
    "NUNMAL_WEB__BCRYPT_ROUNDS": "4",
    "NUNMAL_WORKER__MAX_NEW_TOKENS": "2048",
    "NUNMAL_WORKER__STALE_AFTER_S": "30",
}


class Service:
    """`nunmal up` with the model of tests/fuzz/planted.py, its output kept."""

    def __init__(self, home: Path, holes: Sequence[str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NUNMAL_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.planted", *holes],
            cwd=ROOT,
            env=kept | {"OMP_NUM_THREADS": "1", "NUNMAL_HOME": str(home)} | _SETTINGS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._output = bytearray()
        self._is_ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def address(self) -> str:
        """Once it is ready. Raises RuntimeError if it is not in time."""
        self._is_ready.wait(_READY_WITHIN_S)
        if found := READY.search(self.output):
            return found[1]
        raise RuntimeError(f"the service did not start:\n{self.output}")

    @property
    def output(self) -> str:
        return self._output.decode("utf-8", "replace")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> int:
        """As an operator does it; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            self._reader.join(_END_WITHIN_S)

    def kill(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._output += line
                if b" is ready" in line:
                    self._is_ready.set()
        self._is_ready.set()


@dataclass
class Identity:
    """Somebody as requests show it: a session with its CSRF token, a key, a visitor's cookie, or nothing."""

    name: str
    session: bytes = b""
    csrf: str = ""
    key: bytes = b""
    visitor: bytes = b""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        shown = []
        if self.session:
            shown.append((b"Cookie", b"nunmal_session=" + self.session))
        if self.visitor:
            shown.append((b"Cookie", b"nunmal_visitor=" + self.visitor))
        if self.key:
            shown.append((b"Authorization", b"Bearer " + self.key))
        return tuple(shown)

    def get(self, path: str) -> Request:
        return Request(b"GET", path.encode(), self.headers)

    def post(self, path: str, body: bytes, content_type: bytes = _FORM[1]) -> Request:
        return Request(b"POST", path.encode(), (*self.headers, (b"Content-Type", content_type)), body)


NOBODY = Identity("nobody")


@dataclass
class House:
    """What people do in it while they move in is counted like an attack."""

    service: Service
    home: Path
    tally: Tally
    people: dict[str, Person] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    codes: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.tally.address

    def secret(self) -> str:
        """A word that nobody but A may see."""
        word = f"q{secrets.token_hex(8)}"
        self.words.append(word)
        return word

    def settle(self, name: str, role: str = "user", called: str = "", email: str = "") -> Person:
        """Make an account with a key and a session."""
        self.emails[name] = email or f"{name.lower()}-{secrets.token_hex(4)}@example.com"
        self.ids[name], self.keys[name] = asyncio.run(self._account(self.emails[name], called or name, role))
        person = self.people[name] = self.log_in(name)
        self.identities[name] = self.identity(name, person)
        return person

    async def _account(self, email: str, called: str, role: str) -> tuple[str, str]:
        """What `nunmal users create` and `nunmal keys create` do, without a process for each."""
        password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
        async with Store(running_store(self.home), "nunmal") as store:
            user = await store.users.create(email, called, password_hash, AccountRole(role))
            _, secret = await store.keys.create(user.id, "", SCOPES, None)
        return user.id, secret

    def log_in(self, name: str, user_agent: str = "fuzz") -> Person:
        client = httpx.Client(
            base_url=self.address,
            follow_redirects=True,
            timeout=30,
            headers={"User-Agent": user_agent},
            event_hooks={"response": [self._seen]},
        )
        person = Person(self.address, client)
        response = person.post("/login", "/login", email=self.emails[name], password=PASSWORD)
        assert response.url.path == "/chat", response.text
        return person

    def _seen(self, response: httpx.Response) -> None:
        request = f"{response.request.method} {response.request.url}"
        self.tally.see(request.encode(), Answer(response.status_code), owns_secrets=True)

    def passer_by(self) -> Identity:
        """Somebody before their log-in, with a CSRF token."""
        with httpx.Client(base_url=self.address) as client:
            page = BeautifulSoup(client.get("/signup").text, "html.parser")
            visitor = client.cookies["nunmal_visitor"].encode()
        (token,) = page.select('form[action="/signup"] input[name="csrf_token"]')
        return Identity("a passer-by", csrf=str(token["value"]), visitor=visitor)

    def identity(self, name: str, person: Person) -> Identity:
        form = person._page("/chat").select_one('input[name="csrf_token"]')
        assert form is not None
        session = person._client.cookies["nunmal_session"]
        return Identity(name, session.encode(), str(form["value"]), self.keys.get(name, "").encode())

    def settle_operator(self, name: str, called: str = "") -> None:
        """Make one with a second step, and note its recovery codes."""
        person = self.settle(name, "operator", called)
        page = person.post("/account/second-step", "/account/second-step", old_password=PASSWORD).text
        soup = BeautifulSoup(page, "html.parser")
        (secret,), (enrolment,) = soup.select(".totp-secret"), soup.select('input[name="enrolment"]')
        fields = {"csrf_token": self.identities[name].csrf, "enrolment": str(enrolment["value"])}
        code = pyotp.TOTP(secret.get_text().replace(" ", "")).now()
        page = person._client.post("/account/second-step/on", data=fields | {"code": code}).text
        self.codes[name] = [code.get_text() for code in BeautifulSoup(page, "html.parser").select(".codes code")]

    def let_in(self, operator: str, email: str, reason: str) -> None:
        """The operator may read this person's conversations."""
        proof = {"old_password": PASSWORD, "code": self.codes[operator].pop()}
        page = self.people[operator].post(
            "/ops/access", "/ops/access", email=email, reason=reason, minutes="60", **proof
        )
        assert page.status_code == 200, page.text

    async def reset_link(self, name: str) -> str:
        """Its path, as `nunmal users reset` prints it."""
        async with Store(running_store(self.home), "nunmal") as store:
            return f"/reset/{await store.resets.create(self.ids[name], timedelta(hours=1))}"

    def ask(self, name: str, message: str, conversation: str = "/chat") -> str:
        """As a page does, until the answer is there; the path of the conversation."""
        person = self.people[name]
        path = person.ask(message, conversation)
        turn = person.turns(path)[-1]
        person.whole(path, turn.generation_id)
        return path

    def ask_about_picture(self, name: str, message: str, alt: str) -> str:
        """The same beside a picture that is called `alt`."""
        person, csrf = self.people[name], self.identities[name].csrf
        picture, accept = {"picture": ("a.png", png())}, {"Accept": "application/json"}
        uploaded = person._client.post(
            "/chat/pictures", data={"csrf_token": csrf, "alt": alt}, files=picture, headers=accept
        )
        assert uploaded.status_code == 201, uploaded.text
        fields = {"csrf_token": csrf, "message": message, "picture": uploaded.json()["id"]}
        path = person._client.post("/chat", data=fields).url.path
        person.whole(path, person.turns(path)[-1].generation_id)
        return path

    def close(self) -> None:
        for person in self.people.values():
            person._client.close()


@contextlib.contextmanager
def running_house(holes: Sequence[str]) -> Iterator[House]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        service = Service(home, holes)
        try:
            house = House(service, home, Tally(service.address()))
            try:
                yield house
            finally:
                house.close()
        finally:
            service.kill()

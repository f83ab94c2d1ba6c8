"""Who may what: A's doors, tried by everybody else. A door is an address with an id in it that A's pages link to or
post to, and what the API says of A's things.

An answer that holds one of A's secret words, that is no refusal, that tells a foreign thing from one that never was, or
after which anything of A's is different, is a foreign read.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import pyotp
from bs4 import BeautifulSoup

from shared.ids import new_id
from tests.fuzz.house import NOBODY, House, Identity
from tests.fuzz.tally import Tally
from tests.fuzz.wire import Answer, Request, Wire
from tests.service import PASSWORD, Person

_PAGES = ("/chat", "/keys", "/account", "/notices", "/usage", "/developers", "/account/second-step", "/account/delete")
_OPERATOR_PAGES = ("/chat", "/ops/access")
_OTHERS = {"B": _PAGES, "researcher": _PAGES, "intruder": (*_PAGES, *_OPERATOR_PAGES)}
_ROLES = "/ops/"  # doors that are a role's, whatever their address
_EVERYBODYS = ("/logout", "/language", "/login", "/signup")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32,64}")
_CHANGING = re.compile(
    r'<time[^>]*>[^<]*</time>|name="(?:csrf_token|generation_id)" value="[^"]*"|"created_at": *[\d.]+'
)
_JSON = b"application/json"
_SAID = "가로챔"  # in every field of a foreign form
_REFUSALS = (401, 403, 404, 405)


@dataclass(frozen=True, slots=True, order=True)
class Door:
    """`fields`: of a form, without its CSRF token."""

    method: str
    path: str
    fields: tuple[str, ...] = ()

    def request(self, who: Identity) -> Request:
        if self.method == "GET":
            return who.get(self.path)
        if self.path.startswith("/v1/"):
            return who.post(self.path, b"{}", _JSON)
        return who.post(self.path, urlencode({**dict.fromkeys(self.fields, _SAID), "csrf_token": who.csrf}).encode())

    def of_nobody(self) -> Door:
        """The same with ids that never were."""
        return replace(
            self, path=_ID.sub(lambda found: new_id() if "-" in found[0] else new_id().replace("-", "") * 2, self.path)
        )


def furnish(house: House) -> None:
    """A, B, two operators (one was let in to A) and a researcher; and A's secret words in every place for words."""
    owner = house.settle("A", called=house.secret())
    house.words.append(house.emails["A"])
    conversation = house.ask("A", f"첫째 {house.secret()} **{house.secret()}**")
    house.ask("A", f"둘째 {house.secret()}", conversation)
    owner.post(conversation, f"{conversation}/rename", title=house.secret())
    house.ask("A", f"셋째 {house.secret()}")
    house.ask_about_picture("A", f"넷째 {house.secret()}", house.secret())
    owner.post("/keys", "/keys", name=house.secret())
    house.log_in("A", user_agent="another browser")._client.close()
    house.settle("B")
    house.ask("B", "다른 사람의 이야기")
    house.log_in("B", user_agent="another browser")._client.close()
    for name in ("operator", "intruder"):
        house.settle_operator(name)
    house.settle("researcher", "researcher")
    house.let_in("operator", house.emails["A"], f"살펴볼 까닭이 있어서 {house.secret()}")


async def try_all_doors(house: House, wire: Wire, tally: Tally) -> None:
    """Every door of A and of the operator who was let in, by everybody else who has not the same."""
    everybody = house.identities
    doors = set(_doors(house.people["A"], _PAGES)) | set(_doors(house.people["operator"], _OPERATOR_PAGES))
    for job in await _answers_of(everybody["A"], wire, tally):
        doors |= {Door("GET", f"/v1/jobs/{job}"), Door("GET", f"/v1/jobs/{job}/stream")}
        doors.add(Door("POST", f"/v1/jobs/{job}/cancel"))
    doors = {door for door in doors if _ID.search(door.path) or door.path.startswith(_ROLES)}
    own = {name: set(_doors(house.people[name], pages)) for name, pages in _OTHERS.items()}
    others = [(everybody[name], doors - own[name]) for name in _OTHERS]
    strangers = others[0][1]
    assert len(strangers) > 20, f"only {len(strangers)} doors were found"
    key = Identity("B's key", key=everybody["B"].key)
    before = await _belongings(house, wire, tally)
    for who, foreign in (*others, (key, strangers), (NOBODY, strangers)):
        for door in sorted(foreign):
            await _try(door, who, wire, tally)
        now = await _belongings(house, wire, tally)
        for page in sorted(before | now):  # one may be gone, or new
            if before.get(page) != now.get(page):
                tally.foreign(f"{who.name} changed {page}", b"", Answer(0, (), now.get(page, "").encode()))
        before = now
    await _mix(house, wire, tally, sorted(strangers))
    await _forge(house, wire, tally)
    await _still_works(house, wire, tally)


async def _try(door: Door, who: Identity, wire: Wire, tally: Tally) -> None:
    request, unknown = door.request(who), door.of_nobody().request(who)
    answer, control = await wire.send(request), await wire.send(unknown)
    tally.see(unknown.raw(b""), control)
    tally.see(request.raw(b""), answer)
    if not _is_refused(answer):
        tally.foreign(f"{who.name} was let in", request.raw(b""), answer)
    elif (answer.status, _normal(answer.text)) != (control.status, _normal(control.text)):
        tally.foreign(f"{who.name} can tell it from nothing", request.raw(b""), answer)


async def _mix(house: House, wire: Wire, tally: Tally, foreign: Sequence[Door]) -> None:
    """A's ids in B's own doors: an answer of A's in a conversation of B's, a question of A's asked again, and the CSRF
    token of one with the session of the other."""
    a, b = house.identities["A"], house.identities["B"]
    mine = [door.path for door in _doors(house.people["B"], _PAGES) if re.fullmatch(r"/chat/[0-9a-f-]{36}", door.path)]
    generations = {door.path.rpartition("/")[2] for door in foreign if "/stream/" in door.path}
    for generation in sorted(generations):
        requests = [b.get(f"{conversation}/stream/{generation}") for conversation in mine]
        for path in ("/chat", *mine):
            form = {"csrf_token": b.csrf, "generation_id": generation, "message": "같은 물음"}
            requests.append(b.post(path, urlencode(form).encode()))
        for request in requests:
            answer = tally.see(request.raw(b""), await wire.send(request))
            if not _is_refused(answer):
                tally.foreign("A's answer in B's conversation", request.raw(b""), answer)
    for door in foreign:
        if door.method == "POST" and not door.path.startswith(("/v1/", "/ops/")):
            fields = dict.fromkeys((*door.fields, "name", "title", "message"), _SAID) | {"csrf_token": b.csrf}
            request = a.post(door.path, urlencode(fields).encode()).bearing((b"Origin", b"http://outside.invalid"))
            answer = tally.see(request.raw(b""), await wire.send(request), owns_secrets=True)
            if answer.status != 403:
                tally.foreign("A's browser obeyed another site", request.raw(b""), answer)


async def _forge(house: House, wire: Wire, tally: Tally) -> None:
    """Sessions, keys and links that were put together from pieces of real ones."""
    a, b = house.identities["A"], house.identities["B"]
    owner_id, _, secret = a.session.partition(b".")
    own_id, _, own_secret = b.session.partition(b".")
    sessions = [
        *(owner_id + b"." + own_secret, own_id + b"." + secret, owner_id + b".", owner_id, secret, a.session[:-1]),
        *(a.session.upper(), a.session.swapcase(), owner_id + b".." + secret, b'"' + owner_id + b'"'),
        *(b.session + b"; nunmal_session=" + owner_id + b".x", owner_id + b".x; nunmal_session=" + b.session),
    ]
    keys = [a.key[:-1], a.key.upper(), a.key + b"x", a.key.removeprefix(b"sk-"), owner_id, a.session, b"sk-nunmal-*"]
    pages = ["/chat", "/account", "/keys", "/notices"]
    for session in sessions:
        for page in pages:
            request = Request(b"GET", page.encode(), ((b"Cookie", b"nunmal_session=" + session),))
            tally.see(request.raw(b""), await wire.send(request))
    for key in keys:
        request = Request(b"GET", b"/v1/jobs", ((b"Authorization", b"Bearer " + key),))
        answer = tally.see(request.raw(b""), await wire.send(request))
        if answer.status != 401:
            tally.foreign("a forged key", request.raw(b""), answer)
    link = await house.reset_link("A")
    for forged in (
        link[:-1],
        link + "A",
        link.swapcase(),
        f"/reset/{owner_id.decode()}",
        f"/reset/{secrets.token_hex(16)}",
    ):
        form = urlencode({"csrf_token": b.csrf, "password": "가로챈 비밀번호 하나"}).encode()
        for request in (b.get(forged), b.post(forged, form)):
            answer = tally.see(request.raw(b""), await wire.send(request))
            if answer.status != 404:
                tally.foreign("a forged link", request.raw(b""), answer)
    if (await wire.send(NOBODY.get(link))).status != 200:
        tally.foreign("A's link was used up", link.encode(), Answer(0))
    await _borrow_enrolment(house, wire, tally)


async def _borrow_enrolment(house: House, wire: Wire, tally: Tally) -> None:
    """A's second step, begun by A, is switched on for nobody else."""
    a, b = house.identities["A"], house.identities["B"]
    form = urlencode({"csrf_token": a.csrf, "old_password": PASSWORD}).encode()
    page = await wire.send(a.post("/account/second-step", form))
    enrolment = BeautifulSoup(page.text, "html.parser").select_one('input[name="enrolment"]')
    code = re.search(r"\b(?:[A-Z2-7]{4} ?){8}\b", page.text)
    assert enrolment is not None, page.text
    assert code is not None, page.text
    totp = pyotp.TOTP(code[0].replace(" ", "")).now()
    fields = {"csrf_token": b.csrf, "enrolment": str(enrolment["value"]), "code": totp}
    request = b.post("/account/second-step/on", urlencode(fields).encode())
    answer = tally.see(request.raw(b""), await wire.send(request))
    if not 400 <= answer.status < 500:
        tally.foreign("B took A's second step", request.raw(b""), answer)


async def _still_works(house: House, wire: Wire, tally: Tally) -> None:
    """A's password and key."""
    a = house.identities["A"]
    try:
        house.log_in("A")._client.close()
    except AssertionError:
        tally.foreign("A's password was changed", b"", Answer(0))
    if (await wire.send(Identity("A's key", key=a.key).get("/v1/models"))).status != 200:
        tally.foreign("A's key was revoked", b"", Answer(0))


async def _belongings(house: House, wire: Wire, tally: Tally) -> dict[str, str]:
    """All that A and the operator see, without what changes by itself."""
    a, operator = house.identities["A"], house.identities["operator"]
    chats = {door.path for door in _doors(house.people["A"], ("/chat",)) if re.fullmatch(r"/chat/[^/]+", door.path)}
    own = [(a, path) for path in ("/chat", *sorted(chats), "/keys", "/account", "/notices", "/v1/jobs")]
    found = {}
    for who, path in (*own, (operator, "/ops/access")):
        request = who.get(path)
        answer = tally.see(request.raw(b""), await wire.send(request), owns_secrets=True)
        found[path] = f"{answer.status} {_CHANGING.sub('', answer.text)}"
    return found


async def _answers_of(owner: Identity, wire: Wire, tally: Tally) -> list[str]:
    """Ids of two of the owner's answers by the API: a job and a completion."""
    word = tally.secrets and sorted(tally.secrets)[0].decode()
    body = f'{{"model": "reference", "messages": [{{"role": "user", "content": "{word}"}}]}}'.encode()
    ids = []
    for path in ("/v1/jobs", "/v1/chat/completions"):
        request = owner.post(path, body, _JSON)
        answer = tally.see(request.raw(b""), await wire.send(request), owns_secrets=True)
        found = re.search(r'"id": ?"([^"]+)"', answer.text)
        assert found, answer.text
        ids.append(found[1])
    stream = owner.get(f"/v1/jobs/{ids[0]}/stream")
    tally.see(stream.raw(b""), await wire.send(stream), owns_secrets=True)  # until it is done
    return ids


def _doors(person: Person, pages: Iterable[str]) -> list[Door]:
    """What these pages lead to, and what the pages they link to lead to."""
    found: dict[Door, None] = {}
    seen: set[str] = set()
    waiting = list(pages)
    while waiting:
        path = waiting.pop(0)
        if path in seen or path.startswith(("/v1/", "/static/", "/reset", "/chat/pictures/")):
            continue
        seen.add(path)
        soup = BeautifulSoup(person.get(path).text, "html.parser")
        links = [str(link["href"]) for link in soup.select("a[href]")]
        links += [str(picture["src"]) for picture in soup.select('img[src^="/chat/"]')]
        inner = [link.partition("#")[0] for link in links if link.startswith("/")]
        streams = re.findall(r"/chat/[0-9a-f-]{36}/stream/[0-9a-f-]{36}", str(soup))
        turns = [str(turn["id"]).removeprefix("turn-") for turn in soup.select("article.turn[id]")]
        streams += [f"{path}/stream/{turn}" for turn in turns if path.startswith("/chat/")]
        for link in (*inner, *streams):
            found[Door("GET", link)] = None
        waiting += [link for link in inner if link and not link.startswith(_EVERYBODYS)]
        for form in soup.select('form[method="post"][action^="/"]'):
            names = {str(each["name"]) for each in form.select("input[name], textarea[name], select[name]")}
            fields = sorted(names - {"csrf_token", "generation_id", "minutes"})
            found[Door("POST", str(form["action"]), tuple(fields))] = None
    return list(found)


def _is_refused(answer: Answer) -> bool:
    return answer.status in _REFUSALS or (answer.status == 303 and answer.header("location").startswith("/login"))


def _normal(text: str) -> str:
    return _ID.sub("ID", _CHANGING.sub("", text))

"""Builds the web application from its parts. Nothing here is global: two apps in one process do not meet."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

from quart import Quart, Response, g, redirect, request
from quart.typing import ResponseReturnValue

from shared.adapters.gate import gate_of
from shared.broker.base import Broker
from shared.errors import ConfigError
from shared.gatekeeping import Gatekeeper
from shared.publishing import Publishing
from shared.settings import REFERENCE_MODEL, Settings, WebSettings
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.embedders import embedder_of
from shared.text.embedding import Embedder
from shared.topology import CHAT_JOBS, DIGEST_LANE, INGEST_LANE, REINDEX_LANE, lane
from web.account.deletion import AccountDeletion
from web.account.my_data import my_data_blueprint
from web.account.routes import account_blueprint
from web.adapters.routes import PATH as ADAPTER_PAGES
from web.adapters.routes import adapter_pages
from web.adapters.trials import Trials
from web.api.access import Callers
from web.api.adapter_routes import PATH as ADAPTERS
from web.api.adapter_routes import adapters_blueprint
from web.api.collection_routes import api_collections_blueprint
from web.api.digest_objects import PATH as API_DIGESTS
from web.api.digest_routes import digests_api_blueprint
from web.api.document_routes import PATH as API_DOCUMENTS
from web.api.document_routes import api_documents_blueprint
from web.api.envelope import Envelopes
from web.api.models import Models
from web.api.openapi import openapi_document
from web.api.routes import api_blueprint
from web.api.service import ApiService
from web.api.writing_routes import Writings, writing_blueprint
from web.assets import Assets, assets_blueprint
from web.auth.accounts import MOST_EMAIL_CHARACTERS, MOST_NAME_CHARACTERS, Accounts
from web.auth.address import ClientAddresses
from web.auth.clients import Clients
from web.auth.known_devices import KnownDevices
from web.auth.letters import AccountLetters
from web.auth.passwords import LEAST_CHARACTERS, Passwords
from web.auth.reset_links import ResetLinks
from web.auth.routes import auth_blueprint
from web.auth.second_step import SecondStepService
from web.auth.session_limits import SessionLimit, SessionLimits
from web.auth.throttling import Throttling, TryLimits
from web.bodies import LargeBodies
from web.cancellation import Cancellation
from web.chat.admission import Admission
from web.chat.asking import Asking
from web.chat.branches import Branches
from web.chat.choice import AdapterChoice
from web.chat.drafts import Drafts
from web.chat.held import HeldQuestions
from web.chat.hub import Hub
from web.chat.limits import Limits
from web.chat.line import Lines
from web.chat.open_streams import OpenStreams
from web.chat.page import ChatPage
from web.chat.routes import chat_blueprint
from web.chat.service import ChatService
from web.chat.sight import Sight
from web.chat.stream import StreamTimes
from web.chat.transcript import Transcripts
from web.chat.turn_routes import turns_blueprint
from web.chat.voting import Voting
from web.comparing.researcher_routes import comparisons_blueprint
from web.comparing.routes import compare_blueprint
from web.comparing.service import Comparing
from web.connection import LARGE_BODIES, LightConnection
from web.developers import developers_blueprint
from web.digests.routes import MOST_AT_ONCE as MOST_ARTICLES_AT_ONCE
from web.digests.routes import PATH as DIGESTS
from web.digests.routes import digests_blueprint
from web.digests.service import DigestService
from web.documents.answer_routes import document_answers_blueprint
from web.documents.answering import Answering
from web.documents.collecting import Collecting
from web.documents.collection_routes import collections_blueprint
from web.documents.question_vectors import QuestionVectors
from web.documents.routes import documents_blueprint
from web.documents.service import DocumentService
from web.documents.shelf import MOST_AT_ONCE as MOST_DOCUMENTS_AT_ONCE
from web.documents.shelf import Shelf
from web.documents.views import PATH as DOCUMENTS
from web.documents.writing import Writing
from web.errors import register_errors
from web.first_text import first_text_blueprint
from web.http_metrics import count_requests
from web.keys import keys_blueprint
from web.lane_watch import LaneWatch
from web.language import language_blueprint
from web.mail import Outbox, mail_server
from web.named_model import NamedModels
from web.notices import Notices, notices_blueprint
from web.operators.access import Access
from web.operators.console import Console
from web.operators.console_routes import console_blueprint
from web.operators.history import History
from web.operators.routes import access_blueprint
from web.ops import ops_blueprint
from web.organising.file_routes import IMPORTS, files_blueprint
from web.organising.importing import MOST_MIB as MOST_IMPORT_MIB
from web.organising.routes import library_blueprint
from web.organising.service import LibraryService
from web.organising.share_routes import share_blueprint
from web.organising.sharing import Sharing
from web.pictures.routes import UPLOADS, pictures_blueprint
from web.pictures.service import MOST_PER_MESSAGE, PictureService
from web.search.routes import search_blueprint
from web.search.service import SearchService
from web.security import Csrf, harden
from web.security_txt import security_txt_blueprint
from web.usage import usage_blueprint
from web.visitor import Visitors
from web.words import load_words

_MOST_BODY_BYTES = 2 * 1024 * 1024  # 100,000 Hangul syllables, percent-encoded, still get their sentence
_KIB, _MIB = 1024, 1024 * 1024
_MOST_BATCH_BYTES = 64 * _MIB  # of articles that are sent as JSON
_MOST_ADAPTER_BYTES = 200 * _MIB  # over HTTP; `nunmal adapters push` takes what its base allows
_WITHOUT_VISITOR = ("/static/", "/favicon.ico", "/healthz", "/readyz", "/acceptz")
_HUB = "nunmal_hub"


def create_app(
    settings: Settings,
    broker: Broker,
    store: Store,
    *,
    node_id: str,
    extra_ready: Callable[[], bool] | None = None,
    stream_times: StreamTimes | None = None,
    analyser: Analyser | None = None,
    embedder: Embedder | None = None,
) -> Quart:
    """`broker` and `store` are open. Raises ConfigError without a secret key."""
    if settings.secret_key is None or len(settings.secret_key.get_secret_value()) < 32:
        raise ConfigError("NUNMAL_SECRET_KEY must have at least 32 characters, the same on all web nodes")
    lane_name = lane(CHAT_JOBS, settings.model_name)
    stale_after_s = settings.worker.stale_after_s
    csrf = Csrf(settings.secret_key.get_secret_value().encode())
    words = load_words()
    visitors = Visitors(
        store,
        words,
        csrf,
        secure=settings.web.secure_cookies,
        session_days=settings.web.session_days,
    )
    limits_of_tries = TryLimits(
        settings.web.tries_per_account,
        settings.web.tries_per_address,
        settings.web.sign_ups_per_address,
        settings.web.longest_wait_s,
    )
    throttling = Throttling(store.throttle, limits_of_tries)
    secret_key = settings.secret_key.get_secret_value().encode()
    second_step = SecondStepService(store, throttling, secret_key)
    devices = KnownDevices(secret_key)
    accounts = Accounts(
        store,
        Passwords(settings.web.bcrypt_rounds),
        throttling,
        second_step,
        devices,
        _session_limits(settings.web),
    )
    outbox = Outbox(mail_server(settings))
    resets = ResetLinks(store, accounts, throttling, devices, outbox, public_url=settings.web.public_url)
    clients = Clients(ClientAddresses(settings.web.trusted_proxies), visitors.device_cookie)
    lines = Lines(store, stale_after_s)
    limits = Limits(store, settings.web)
    hub = Hub(store, broker, lines, node_id)
    admission = Admission(store, broker, lines, limits, hub)
    cancellation = Cancellation(store, broker)
    most_chars = settings.web.message_max_chars
    choice = AdapterChoice(store, lane_name, stale_after_s)
    asking = Asking(store, admission, cancellation)
    drafts = Drafts(choice, lane_name)
    service = ChatService(store, asking, drafts, cancellation, hub, most_chars=most_chars)
    branches = Branches(store, service, asking, drafts, most_chars=most_chars)
    api_service = ApiService(store, admission, cancellation, most_chars=settings.web.prompt_max_chars)
    letters = AccountLetters(outbox)
    deletion = AccountDeletion(store, accounts, second_step, cancellation)
    access = Access(store, service, accounts, second_step)
    envelopes = Envelopes(words)
    sight = Sight(store, lane_name, stale_after_s)
    pictures = PictureService(store, settings.web, sight.require)
    large_bodies = LargeBodies(functools.partial(_most_body_bytes, settings.web))
    times = stream_times or StreamTimes()
    held = HeldQuestions(store, admission)
    open_streams = OpenStreams()
    transcripts = Transcripts(lines)
    voting = Voting(store, service)
    chat_page = ChatPage(service, transcripts, visitors, pictures, sight, choice, voting)
    notices = Notices(store, visitors)
    assets = Assets()
    watch = LaneWatch(
        *(store, broker, lines, lane_name),
        waiting_room=settings.web.waiting_room,
        wait_goal_s=settings.web.wait_goal_s,
    )
    analyser = analyser or Analyser()
    search = SearchService(store, analyser)
    history = History()
    console = Console(store, watch, history, broker)

    app = Quart(__name__, static_folder=None)
    app.asgi_http_class = LightConnection
    app.config["MAX_CONTENT_LENGTH"] = _MOST_BODY_BYTES
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # its redirects are pages, and /v1 has none
    app.extensions[_HUB] = hub
    app.extensions[LARGE_BODIES] = large_bodies
    count_requests(app)
    app.register_blueprint(assets_blueprint(assets))
    app.register_blueprint(ops_blueprint(store, broker, lane_name, stale_after_s, extra_ready))
    app.register_blueprint(language_blueprint(visitors))
    app.register_blueprint(auth_blueprint(accounts, resets, visitors, clients, can_mail=outbox.is_set_up))
    app.register_blueprint(account_blueprint(accounts, second_step, visitors, clients, letters))
    app.register_blueprint(my_data_blueprint(store, deletion, second_step, throttling, visitors, clients, letters))
    app.register_blueprint(security_txt_blueprint(settings.web.security_contact, settings.web.public_url))
    app.register_blueprint(pictures_blueprint(pictures, visitors, large_bodies, most_mib=settings.web.picture_max_mib))
    app.register_blueprint(
        chat_blueprint(service, chat_page, hub, visitors, times, open_streams, pictures, large_bodies)
    )
    app.register_blueprint(turns_blueprint(branches, voting, service, chat_page, visitors))
    app.register_blueprint(search_blueprint(search, visitors))
    documents = DocumentService(store, broker, settings.web)
    question_vectors = QuestionVectors(embedder or embedder_of(settings.embedding))
    collecting = Collecting(store, settings.web)
    answering = Answering(store, analyser, question_vectors, settings.embedding.answers_from)
    models = NamedModels(store, settings)
    writing = Writing(store, analyser, admission, cancellation, models, settings.web.document_model)
    shelf = Shelf(documents, collecting, writing, visitors)
    app.register_blueprint(documents_blueprint(documents, collecting, answering, shelf, visitors, large_bodies))
    app.register_blueprint(collections_blueprint(collecting, answering, shelf, visitors))
    app.register_blueprint(
        document_answers_blueprint(
            *(writing, answering, collecting, shelf, transcripts, hub, visitors, times, open_streams)
        )
    )
    writings = Writings(writing, envelopes)
    app.register_blueprint(
        api_documents_blueprint(
            *(documents, collecting, answering, writing, writings, Callers(store), envelopes, large_bodies)
        )
    )
    app.register_blueprint(writing_blueprint(writing, writings, Callers(store), hub, envelopes, times, open_streams))
    app.register_blueprint(api_collections_blueprint(collecting, documents, answering, Callers(store)))
    digests = DigestService(store, broker, settings.web)
    app.register_blueprint(digests_blueprint(digests, visitors, large_bodies))
    app.register_blueprint(digests_api_blueprint(digests, Callers(store), envelopes, large_bodies))
    app.register_blueprint(library_blueprint(store, LibraryService(store, service), visitors))
    sharing = Sharing(store, service)
    app.register_blueprint(share_blueprint(sharing, service, throttling, visitors, clients, settings.web.public_url))
    app.register_blueprint(files_blueprint(store, service, transcripts, throttling, visitors, clients, large_bodies))
    app.register_blueprint(usage_blueprint(limits, visitors))
    app.register_blueprint(first_text_blueprint(store, visitors))
    app.register_blueprint(keys_blueprint(store, accounts, visitors, clients, letters))
    app.register_blueprint(notices_blueprint(store, visitors))
    app.register_blueprint(access_blueprint(access, transcripts, visitors, clients))
    app.register_blueprint(console_blueprint(console, access, visitors, can_drain=settings.broker_url is not None))
    app.register_blueprint(developers_blueprint())
    app.register_blueprint(
        api_blueprint(
            *(api_service, Callers(store), hub, lines, envelopes, times, open_streams, pictures, large_bodies),
            openapi_document(),
            Models(choice, settings.model_name),
            lane=lane_name,
        )
    )
    publishing = Publishing(store, broker)
    gate = Gatekeeper(store, broker, publishing, lane_name, gate_of(settings.web.gate))
    app.register_blueprint(adapters_blueprint(store, publishing, gate, Callers(store), large_bodies))
    app.register_blueprint(
        adapter_pages(
            *(store, publishing, gate, Trials(store, api_service, lane_name), transcripts, hub, visitors),
            *(times, open_streams, large_bodies, timedelta(seconds=stale_after_s)),
        )
    )
    comparing = Comparing(store, api_service, cancellation, lane_name)
    app.register_blueprint(compare_blueprint(comparing, store, transcripts, hub, visitors, times, open_streams))
    app.register_blueprint(comparisons_blueprint(comparing, store, visitors))
    register_errors(app, visitors, envelopes)

    @app.get("/")
    async def home() -> ResponseReturnValue:
        return redirect("/chat" if visitors.current().user else "/login", 303)

    @app.before_request
    async def identify() -> None:
        g.address = clients.address()  # for web/security_log.py
        if not request.path.startswith(_WITHOUT_VISITOR) and not envelopes.covers(request.path):
            await visitors.identify()

    @app.after_request
    async def finish(response: Response) -> Response:
        visitors.remember(response)
        return harden(response, is_https=settings.web.secure_cookies)

    @app.context_processor
    async def page_values() -> dict[str, object]:
        visitor = visitors.current()
        return {
            "t": visitor.words,
            "user": visitor.user,
            "csrf_token": visitors.csrf_token,
            "notices": notices,
            "asset": assets.url,
            "icon_uri": assets.data_uri("img/favicon.svg"),
            "path": request.path,
            "is_demonstration": settings.model == REFERENCE_MODEL,
            "model_name": settings.model_name,
            "most_message_characters": settings.web.message_max_chars,
            "most_email_characters": MOST_EMAIL_CHARACTERS,
            "most_name_characters": MOST_NAME_CHARACTERS,
            "retention": settings.retention,
            "least_password_characters": LEAST_CHARACTERS,
        }

    @app.while_serving
    async def lifespan() -> AsyncGenerator[None, None]:
        await broker.declare_lane(lane_name)
        await broker.declare_lane(INGEST_LANE)
        await broker.declare_lane(REINDEX_LANE)
        await broker.declare_lane(DIGEST_LANE)
        question_vectors.load()
        async with hub.running():
            tasks = (watch.run(history.take), held.run(), search.indexing.run())
            running = [asyncio.create_task(each) for each in tasks]
            yield
            for each in running:
                each.cancel()
            hub.close()
            await asyncio.gather(asking.close(), api_service.close())
            await gate.close()
            await outbox.close()
            await pictures.close()
            await search.close()
            question_vectors.close()

    return app


def _most_body_bytes(settings: WebSettings, path: str, mimetype: str) -> int | None:
    """Of what is posted there, where files may be in it."""
    picture_mib = settings.picture_max_mib
    most = MOST_PER_MESSAGE * picture_mib * _MIB
    if path in ("/v1/chat/completions", "/v1/jobs"):
        return most * 4 // 3 + _MOST_BODY_BYTES  # base64
    if path == API_DIGESTS:
        return 6 * settings.digest_max_kib * _KIB + _MOST_BODY_BYTES  # a letter may be written as \uXXXX
    if path == f"{API_DIGESTS}/batches":
        return _MOST_BATCH_BYTES
    if mimetype != "multipart/form-data":
        return None
    if path == DIGESTS:
        return MOST_ARTICLES_AT_ONCE * settings.digest_max_kib * _KIB + _MOST_BATCH_BYTES
    if path in (ADAPTERS, ADAPTER_PAGES):
        return _MOST_ADAPTER_BYTES
    if path == IMPORTS:
        return MOST_IMPORT_MIB * _MIB + _MOST_BODY_BYTES
    if path == DOCUMENTS:
        return MOST_DOCUMENTS_AT_ONCE * settings.document_max_mib * _MIB + _MOST_BODY_BYTES
    if path == API_DOCUMENTS:
        return settings.document_max_mib * _MIB + _MOST_BODY_BYTES
    if path == UPLOADS:
        return picture_mib * _MIB + _MOST_BODY_BYTES
    is_question = path == "/chat" or (path.startswith("/chat/") and path.count("/") == 2)
    return most + _MOST_BODY_BYTES if is_question else None


def _session_limits(settings: WebSettings) -> SessionLimits:
    return SessionLimits(
        people=SessionLimit(timedelta(days=settings.session_days), timedelta(hours=settings.session_idle_hours)),
        operators=SessionLimit(
            timedelta(hours=settings.operator_session_hours), timedelta(minutes=settings.operator_idle_minutes)
        ),
    )


def end_streams(app: Quart) -> None:
    """Tell all browsers that listen to `app` to come back elsewhere or later."""
    hub: Hub = app.extensions[_HUB]
    hub.close()

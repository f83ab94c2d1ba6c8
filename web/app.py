"""Builds the web application from its parts. Nothing here is global: two apps in one process do not meet."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from quart import Quart, Response, redirect, request
from quart.typing import ResponseReturnValue

from shared.broker.base import Broker
from shared.errors import ConfigError
from shared.settings import REFERENCE_MODEL, Settings
from shared.store import Store
from shared.topology import CHAT_JOBS, lane
from web.admission import Admission
from web.assets import Assets, assets_blueprint
from web.auth.accounts import MOST_EMAIL_CHARACTERS, MOST_NAME_CHARACTERS, Accounts
from web.auth.passwords import LEAST_CHARACTERS, Passwords
from web.auth.routes import auth_blueprint
from web.chat.hub import Hub
from web.chat.limits import Limits
from web.chat.line import Lines
from web.chat.routes import chat_blueprint
from web.chat.service import ChatService
from web.chat.stream import StreamTimes
from web.chat.transcript import Transcripts
from web.connection import LightConnection
from web.errors import register_errors
from web.language import language_blueprint
from web.ops import ops_blueprint
from web.security import Csrf, harden
from web.usage import usage_blueprint
from web.visitor import Visitors
from web.words import load_words

_MOST_BODY_BYTES = 2 * 1024 * 1024  # 100,000 Hangul syllables, percent-encoded, still get their sentence
_WITHOUT_VISITOR = ("/static/", "/favicon.ico", "/healthz", "/readyz")
_HUB = "nunmal_hub"


def create_app(
    settings: Settings,
    broker: Broker,
    store: Store,
    *,
    node_id: str,
    extra_ready: Callable[[], bool] | None = None,
    stream_times: StreamTimes | None = None,
) -> Quart:
    """`broker` and `store` are open. Raises ConfigError without a secret key."""
    if settings.secret_key is None or len(settings.secret_key.get_secret_value()) < 32:
        raise ConfigError("NUNMAL_SECRET_KEY must have at least 32 characters, the same on all web nodes")
    lane_name = lane(CHAT_JOBS, settings.model_name)
    stale_after_s = settings.worker.stale_after_s
    csrf = Csrf(settings.secret_key.get_secret_value().encode())
    visitors = Visitors(
        store,
        load_words(),
        csrf,
        secure=settings.web.secure_cookies,
        session_days=settings.web.session_days,
    )
    accounts = Accounts(store, Passwords(settings.web.bcrypt_rounds), settings.web.session_days)
    lines = Lines(store, stale_after_s)
    limits = Limits(store, settings.web)
    hub = Hub(store, broker, lines, node_id)
    admission = Admission(store, broker, lines, limits, hub)
    service = ChatService(store, broker, admission, hub, lane=lane_name, most_chars=settings.web.message_max_chars)
    transcripts = Transcripts(lines)
    assets = Assets()

    app = Quart(__name__, static_folder=None)
    app.asgi_http_class = LightConnection
    app.config["MAX_CONTENT_LENGTH"] = _MOST_BODY_BYTES
    app.url_map.strict_slashes = False
    app.extensions[_HUB] = hub
    app.register_blueprint(assets_blueprint(assets))
    app.register_blueprint(ops_blueprint(store, broker, lane_name, stale_after_s, extra_ready))
    app.register_blueprint(language_blueprint(visitors))
    app.register_blueprint(auth_blueprint(accounts, visitors))
    app.register_blueprint(chat_blueprint(service, transcripts, hub, visitors, stream_times or StreamTimes()))
    app.register_blueprint(usage_blueprint(limits, visitors))
    register_errors(app, visitors)

    @app.get("/")
    async def home() -> ResponseReturnValue:
        return redirect("/chat" if visitors.current().user else "/login", 303)

    @app.before_request
    async def identify() -> None:
        if not request.path.startswith(_WITHOUT_VISITOR):
            await visitors.identify()

    @app.after_request
    async def finish(response: Response) -> Response:
        visitors.remember(response)
        return harden(response)

    @app.context_processor
    async def page_values() -> dict[str, object]:
        visitor = visitors.current()
        return {
            "t": visitor.words,
            "user": visitor.user,
            "csrf_token": visitors.csrf_token,
            "asset": assets.url,
            "icon_uri": assets.data_uri("img/favicon.svg"),
            "path": request.path,
            "is_demonstration": settings.model == REFERENCE_MODEL,
            "model_name": settings.model_name,
            "most_message_characters": settings.web.message_max_chars,
            "most_email_characters": MOST_EMAIL_CHARACTERS,
            "most_name_characters": MOST_NAME_CHARACTERS,
            "least_password_characters": LEAST_CHARACTERS,
        }

    @app.while_serving
    async def lifespan() -> AsyncGenerator[None, None]:
        await broker.declare_lane(lane_name)
        async with hub.running():
            yield
            hub.close()
            await service.close()

    return app


def end_streams(app: Quart) -> None:
    """Tell all browsers that listen to `app` to come back elsewhere or later."""
    hub: Hub = app.extensions[_HUB]
    hub.close()

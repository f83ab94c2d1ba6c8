"""The only reader of the environment: typed, frozen, one section per room.

`NUNMAL_HOME=/srv/nunmal` sets `home`, `NUNMAL_WEB__PORT=8123` sets `web.port`. Entry points load this once and
hand each object the values it needs. A test keeps .env.example equal to what stands here. Experiments are not
settings: a training run is a recipe (training/recipes/).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from shared.errors import ConfigError
from shared.topology import model_slug

PREFIX = "NUNMAL_"
_NAMED_MODEL = r"^([A-Za-z0-9._-]+(:[A-Za-z0-9._-]+)?)?$"
REFERENCE_MODEL = "reference"  # the name of the model that ships with the code
_REFERENCE_MODEL_DIR = Path(__file__).resolve().parent.parent / "workers" / "reference" / "model"

# Read by tests and tools only, never by the service; named here so that they are not "unknown".
_OUTSIDE_NAMES = frozenset({"NUNMAL_TEST_MONGODB_URL", "NUNMAL_TEST_AMQP_URL"})

_EmptyIsNone = BeforeValidator(lambda value: None if value == "" else value)


def _only_networks(text: str) -> str:
    for name in filter(None, map(str.strip, text.split(","))):
        ip_network(name, strict=False)  # raises ValueError, which says what is wrong
    return text


Networks = Annotated[str, AfterValidator(_only_networks)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WebSettings(_Section):
    host: str = Field(default="127.0.0.1", description="Address the pages are served on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the pages are served on; 0 chooses a free one.")
    secure_cookies: bool = Field(default=False, description="Set true behind https: cookies get the Secure flag.")
    session_days: float = Field(
        default=30.0, ge=0.04, description="Days until a log-in ends by itself; 0.5 for OWASP's 12 hours."
    )
    session_idle_hours: float = Field(
        default=168.0, ge=0.25, description="Hours without use after which a log-in ends; 0.5 for OWASP's 30 minutes."
    )
    operator_session_hours: float = Field(
        default=12.0, ge=0.25, description="Hours until an operator's log-in ends by itself."
    )
    operator_idle_minutes: float = Field(
        default=30.0, ge=15.0, description="Minutes without use after which an operator's log-in ends."
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#@]+)?$",
        description="https://host of these pages, for links in mails; mail needs it.",
    )
    trusted_proxies: Networks = Field(
        default="",
        description="Proxies whose X-Forwarded-For is believed, as networks: 10.0.0.0/8,::1; nobody's if empty.",
    )
    tries_per_account: int = Field(
        default=5, ge=1, description="Failed log-ins of one account an hour that cost nothing; then waits grow."
    )
    tries_per_address: int = Field(
        default=100, ge=1, description="Failed log-ins of one client address an hour that cost nothing."
    )
    sign_ups_per_address: int = Field(
        default=10, ge=1, description="Sign-ups from one client address an hour that cost nothing; then waits grow."
    )
    longest_wait_s: float = Field(
        default=900.0, gt=0, description="Longest time somebody has to wait between two tries, in seconds."
    )
    message_max_chars: int = Field(default=8000, ge=1, description="Longest message a person may send, in characters.")
    picture_max_mib: int = Field(default=10, ge=1, le=64, description="Largest picture a person may send, in MiB.")
    picture_max_megapixels: int = Field(
        default=50, ge=1, le=200, description="Most pixels of a picture a person may send, in millions."
    )
    picture_side: int = Field(
        default=1536, ge=64, le=4096, description="Longest side of a kept picture, in pixels; larger ones are scaled."
    )
    pictures_per_user: int = Field(default=1000, ge=1, description="Pictures that are kept for one person.")
    picture_space_mib: int = Field(default=500, ge=1, description="MiB of pictures that are kept for one person.")
    document_max_mib: int = Field(default=10, ge=1, le=15, description="Largest document a person may upload, in MiB.")
    documents_per_user: int = Field(default=100, ge=1, le=1000, description="Documents that are kept for one person.")
    document_space_mib: int = Field(default=200, ge=1, description="MiB of documents that are kept for one person.")
    collections_per_user: int = Field(
        default=50, ge=1, le=500, description="Collections of documents that are kept for one person."
    )
    documents_per_collection: int = Field(default=50, ge=1, le=1000, description="Documents in one collection.")
    collection_space_mib: int = Field(default=100, ge=1, description="MiB of documents in one collection.")
    document_model: str = Field(
        default="",
        pattern=_NAMED_MODEL,
        description="Model that writes answers from documents: nunmal, or nunmal:<adapter>; extracts alone if empty.",
    )
    digest_max_kib: int = Field(
        default=1024, ge=1, le=4096, description="Largest article a person may have digested, in KiB."
    )
    digests_per_user: int = Field(default=1000, ge=1, le=1000, description="Digests that are kept for one person.")
    prompt_max_chars: int = Field(
        default=500_000,
        ge=1,
        description="Longest prompt of a request to /v1, all its messages together, in characters.",
    )
    answers_per_user: int = Field(
        default=32, ge=1, description="Answers one person may have waiting or running at once."
    )
    tokens_per_minute: int = Field(default=60_000, ge=0, description="Tokens one person may use a minute; 0: any.")
    tokens_per_day: int = Field(
        default=2_000_000, ge=0, description="Tokens one person may use a day (from 00:00 Asia/Seoul); 0: any."
    )
    wait_goal_s: float = Field(
        default=10.0, gt=0, description="Longest wait for a worker that nunmal_desired_workers plans for, in seconds."
    )
    waiting_room: int = Field(default=1000, ge=1, description="Questions that may wait for one model; more get a 503.")
    gate: str = Field(
        default="",
        description="Questions an adapter must pass before it is used: a file of JSON lines; off: none; empty: ours.",
    )
    security_contact: str = Field(
        default="",
        pattern=r"^((mailto:|https://)[!-~]+)?$",
        description="mailto: or https: address for those who find a hole (/.well-known/security.txt); none if empty.",
    )
    bcrypt_rounds: int = Field(default=12, ge=4, le=16, description="Cost of a password hash: 2**rounds.")
    drain_s: float = Field(
        default=0.5, ge=0, description="Seconds an ending web node still serves, so that balancers see /acceptz first."
    )


class WorkerSettings(_Section):
    slots: int = Field(default=32, ge=1, description="Answers one worker writes at the same time.")
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N.")
    dtype: Literal["auto", "float32", "bfloat16", "float16", "nf4", "int8"] = Field(
        default="auto", description="Precision of the weights; nf4 and int8 quantise them while they are read."
    )
    threads: int = Field(default=0, ge=0, description="CPU threads for the model; 0 means one for each core but one.")
    max_new_tokens: int = Field(default=1024, ge=1, description="Most tokens of one answer, unless asked for fewer.")
    kv_memory_mib: int = Field(
        default=0, ge=0, description="Memory for keys and values in MiB; 0: a share of what is free."
    )
    prefill_chunk: int = Field(
        default=512, ge=1, description="Most prompt tokens of one step; fewer beside running answers."
    )
    picture_cache_mib: int = Field(
        default=128, ge=0, description="MiB of prepared pictures a worker keeps for later turns."
    )
    frame_ms: int = Field(
        default=20,
        ge=1,
        description="Milliseconds for which later tokens are gathered into one frame; more if many answers run.",
    )
    checkpoint_s: float = Field(default=1.0, gt=0, description="Seconds between two checkpoints of a running answer.")
    heartbeat_s: float = Field(default=0.5, gt=0, description="Seconds between two heartbeats of a worker.")
    stale_after_s: float = Field(
        default=2.0, gt=0, description="Seconds without a heartbeat after which a worker is lost."
    )
    deadline_s: float = Field(default=900.0, gt=0, description="Longest time one answer may take, in seconds.")
    drain_s: float = Field(
        default=30.0, ge=0, description="Seconds an ending worker may finish answers; others continue what is left."
    )
    upstream_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#@]+(/[^\s?#@]*)?)?$",
        description="http(s)://host:port/v1 of an OpenAI-compatible server that runs the model; empty: none does.",
    )
    upstream_model: str = Field(default="", description="The model's name there; empty: the only one it serves.")
    upstream_key: Annotated[SecretStr | None, _EmptyIsNone] = Field(
        default=None, description="The API key of that server, if it wants one."
    )


class IngestSettings(_Section):
    max_pages: int = Field(default=500, ge=1, le=5000, description="Most pages of one document.")
    page_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest time the parser may take for one page, in seconds."
    )
    ocr_timeout_s: float = Field(
        default=120.0, gt=0, description="Longest time for reading the letters of one scanned page, in seconds."
    )
    chunking: Literal["headers", "recursive", "semantic", "fixed"] = Field(
        default="headers", description="How pages are cut; `nunmal documents reindex` after a change."
    )
    chunk_characters: int = Field(
        default=500, ge=100, le=4000, description="Longest chunk; `nunmal documents reindex` after a change."
    )
    digest_model: str = Field(
        default="",
        pattern=_NAMED_MODEL,
        description="Model that writes in digests: nunmal, or nunmal:<adapter in use>; extracts alone if empty.",
    )
    digest_model_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest time a digest waits for that model, in seconds."
    )
    digest_model_characters: int = Field(
        default=4000, ge=200, le=50_000, description="Characters of an article that are shown to that model."
    )


class EmbeddingSettings(_Section):
    model: str = Field(
        default="",
        description="Directory or hub name of a sentence-transformers model; then `nunmal documents reindex`.",
    )
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="Where it runs: cpu, or cuda:0.")
    query_prompt: str = Field(
        default="", description="Put before questions, as `query: ` for E5; empty: what the model brings along."
    )
    passage_prompt: str = Field(
        default="", description="Put before passages, as `passage: `; then `nunmal documents reindex`."
    )
    weight: float = Field(
        default=0.5, ge=0, description="Of its cosine in the score of a passage, where words have up to 10."
    )
    answers_from: Annotated[float | None, _EmptyIsNone] = Field(
        default=None,
        gt=0,
        le=1,
        description="Cosine from which a passage answers though it lacks the question's words; empty: none does.",
    )


class MailSettings(_Section):
    url: Annotated[SecretStr | None, _EmptyIsNone] = Field(
        default=None,
        description="smtp[s]://user:password@host:port?from=address; without it operators give reset links by hand.",
    )


class RetentionSettings(_Section):
    conversation_days: int = Field(
        default=0, ge=0, description="Days after its last question when a conversation is removed; 0: it is kept."
    )
    api_days: int = Field(
        default=30, ge=0, description="Days after its end when an answer given through /v1 is removed; 0: it is kept."
    )


class Settings(_Section):
    home: Path = Field(default=Path("var"), description="Where the one-command service keeps its data and secrets.")
    model: str = Field(default=REFERENCE_MODEL, description="`reference`, a model directory, or a Hugging Face hub id.")
    data_dir: Path = Field(default=Path("../shared/data"), description="Korean training data, see its README.")
    broker_url: Annotated[SecretStr | None, _EmptyIsNone] = Field(
        default=None,
        description="amqp://user:password@host:port/vhost, or several with commas between; web and workers need it.",
    )
    store_url: Annotated[SecretStr | None, _EmptyIsNone] = Field(
        default=None, description="mongodb://user:password@host:port/; `nunmal web` and `nunmal worker` need it."
    )
    store_database: str = Field(default="nunmal", min_length=1, description="Name of the database.")
    secret_key: Annotated[SecretStr | None, _EmptyIsNone] = Field(
        default=None,
        description="At least 32 characters, the same for all web nodes; `nunmal up` makes one in its home.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address of /metrics, health and drain; never one that the public can reach."
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of /metrics, health and drain; 0 chooses a free one."
    )
    traces_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#@]+)?$",
        description="http(s)://host:4318/v1/traces of an OpenTelemetry collector; empty: nothing is traced.",
    )
    log_format: Literal["text", "json"] = Field(default="text", description="text for people, json for machines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="Least level logged."
    )
    web: WebSettings = WebSettings()
    mail: MailSettings = MailSettings()
    retention: RetentionSettings = RetentionSettings()
    worker: WorkerSettings = WorkerSettings()
    ingest: IngestSettings = IngestSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()

    @property
    def model_name(self) -> str:
        """The model's name in lanes, pages and metrics."""
        return model_slug(self.model)

    @property
    def model_source(self) -> str:
        """What a loader can open: a directory or a hub id."""
        return str(_REFERENCE_MODEL_DIR) if self.model == REFERENCE_MODEL else self.model


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read `environment` (the process's own by default); `overrides` win, for example `web={"port": 8123}`.

    Raises ConfigError naming the variable, its value and what was expected, or the unknown variable.
    """
    values: dict[str, Any] = {}
    for variable, text in (os.environ if environment is None else environment).items():
        if not variable.startswith(PREFIX) or variable in _OUTSIDE_NAMES:
            continue
        section, _, field = variable.removeprefix(PREFIX).lower().partition("__")
        if field:
            values.setdefault(section, {})[field] = text
        else:
            values[section] = text
    for name, override in overrides.items():
        values[name] = values.get(name, {}) | override if isinstance(override, dict) else override
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem) for problem in error.errors())) from error


def visible_gpus() -> list[str] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves to this process, in its order; None: it does not say."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if value is None else [name.strip() for name in value.split(",") if name.strip() not in ("", "-1")]


def pin_gpu(name: str) -> None:
    """Let this process see one GPU only, under the number nvidia-smi gives it. Before torch is imported."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    os.environ["CUDA_VISIBLE_DEVICES"] = name


def environment_with(**changes: str) -> dict[str, str]:
    """This process's environment with `changes`, for a child."""
    return {**os.environ, **changes}


def environment_without_settings() -> dict[str, str]:
    """This process's environment for a child that is told what it needs in another way: no secret of ours is in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _explain(problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    variable = PREFIX + "__".join(path).upper()
    if problem["type"] == "extra_forbidden":
        return f"{variable} is not a setting of Nunmal (see .env.example)"
    kind: Any = Settings
    for name in path:
        kind = kind.model_fields[name].annotation
    # A whole section is not repeated either: NUNMAL_MAIL=smtp://user:password@host is a mistake, and a secret.
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    is_secret = is_section or SecretStr in get_args(kind)
    return f"{variable}: {problem['msg']}" if is_secret else f"{variable}={problem['input']!r}: {problem['msg']}"

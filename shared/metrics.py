"""Every metric: prefix `nunmal_`, base units, labels from small fixed sets; never a person, an address or their words.

Names, types and buckets are vLLM's where the meaning is the same (vllm/v1/metrics/loggers.py). Each process has one
registry and one port of its own (shared/side_door.py); an engine's process and picture decoders have none, and tell
their parents what is to be counted. What describes a whole lane (its line, its workers) is told alike by every web
node: take the maximum, not the sum.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# When each was first counted: an eighth of what is scraped, and nobody reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client

_TTFT_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
_TPOT_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_REQUEST_BUCKETS = (
    *(0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60),
    *(120, 240, 480, 960, 1920, 7680),
)
_TOKEN_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
_STEP_BUCKETS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_MODEL = ("model_name",)
_LANE = ("lane",)

# An engine.

NUM_REQUESTS_RUNNING = Gauge("nunmal_num_requests_running", "Answers in the batch.", _MODEL)
NUM_REQUESTS_WAITING = Gauge("nunmal_num_requests_waiting", "Answers that wait for memory in the engine.", _MODEL)
KV_CACHE_USAGE = Gauge("nunmal_kv_cache_usage_perc", "Share of the memory for keys and values that is held.", _MODEL)
CACHE_CONFIG = Gauge(
    "nunmal_cache_config_info", "1; the labels tell the memory for keys and values.", (*_MODEL, "num_gpu_blocks")
)
PREEMPTIONS = Counter("nunmal_num_preemptions_total", "Answers that had to wait again for memory.", _MODEL)
PREFIX_CACHE_QUERIES = Counter("nunmal_prefix_cache_queries_total", "Tokens of prompts that were looked for.", _MODEL)
PREFIX_CACHE_HITS = Counter("nunmal_prefix_cache_hits_total", "Of these, those computed before.", _MODEL)
ITERATION_TOKENS = Histogram(
    "nunmal_iteration_tokens_total", "Tokens computed by one step.", _MODEL, buckets=_STEP_BUCKETS
)
BATCH_SIZE = Histogram(
    "nunmal_batch_size", "Answers that shared one step.", _MODEL, buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)

# One answer, as its worker sees it.

TIME_TO_FIRST_TOKEN = Histogram(
    "nunmal_time_to_first_token_seconds", "From the claim to the first token.", _MODEL, buckets=_TTFT_BUCKETS
)
INTER_TOKEN_LATENCY = Histogram(
    "nunmal_inter_token_latency_seconds", "Between two tokens of one answer.", _MODEL, buckets=_TPOT_BUCKETS
)
E2E_REQUEST_LATENCY = Histogram(
    "nunmal_e2e_request_latency_seconds", "From the question to the end.", _MODEL, buckets=_REQUEST_BUCKETS
)
REQUEST_QUEUE_TIME = Histogram(
    "nunmal_request_queue_time_seconds",
    "From the question to the first claim.",
    _MODEL,
    buckets=(0.01, 0.03, 0.1, *_REQUEST_BUCKETS),
)
REQUEST_PREFILL_TIME = Histogram(
    "nunmal_request_prefill_time_seconds",
    "From handing the prompt to the engine to the first token.",
    _MODEL,
    buckets=(0.01, 0.03, 0.1, *_REQUEST_BUCKETS),
)
REQUEST_DECODE_TIME = Histogram(
    "nunmal_request_decode_time_seconds", "From the first token to the last.", _MODEL, buckets=_REQUEST_BUCKETS
)
REQUEST_INFERENCE_TIME = Histogram(
    "nunmal_request_inference_time_seconds",
    "From handing the prompt to the engine to the last token.",
    _MODEL,
    buckets=_REQUEST_BUCKETS,
)
REQUEST_PROMPT_TOKENS = Histogram(
    "nunmal_request_prompt_tokens", "Of one prompt, as it is read.", _MODEL, buckets=_TOKEN_BUCKETS
)
REQUEST_GENERATION_TOKENS = Histogram(
    "nunmal_request_generation_tokens", "Of one answer.", _MODEL, buckets=_TOKEN_BUCKETS
)
REQUEST_PARAMS_MAX_TOKENS = Histogram(
    "nunmal_request_params_max_tokens", "Most tokens that were allowed.", _MODEL, buckets=_TOKEN_BUCKETS
)
PROMPT_TOKENS = Counter("nunmal_prompt_tokens_total", "Tokens of prompts.", _MODEL)
GENERATION_TOKENS = Counter("nunmal_generation_tokens_total", "Tokens written.", _MODEL)
REQUEST_SUCCESS = Counter(
    "nunmal_request_success_total",
    "Answers that have ended: stop, length, abort (the person's own stop) or error.",
    (*_MODEL, "finished_reason"),
)
REQUEST_FAILURES = Counter("nunmal_request_failures_total", "Failed answers by error code.", (*_MODEL, "code"))
ETA_ERROR = Histogram(
    "nunmal_eta_error_seconds",
    "Difference between the wait that was forecast when a question was asked and the wait it had.",
    _MODEL,
    buckets=(0.01, 0.03, 0.1, *_REQUEST_BUCKETS),
)
CANCELS = Counter("nunmal_cancels_total", "Running answers that were stopped by their person.", _MODEL)
CANCEL_LATENCY = Histogram(
    "nunmal_cancel_latency_seconds", "From the click on stop to the free slot.", _MODEL, buckets=_TTFT_BUCKETS
)

# A worker.

WORKER_SLOTS = Gauge("nunmal_worker_slots", "Answers this worker would write at once.", _MODEL)
WORKER_INFO = Gauge(
    "nunmal_worker_info", "1; the labels tell who this worker is.", (*_MODEL, "worker_id", "model_digest")
)
DRAINING = Gauge("nunmal_draining", "1 while this process ends in order.")
LORA_REQUESTS = Gauge(
    "nunmal_lora_requests_info",
    "When it was last true (Unix time); the labels tell adapters with running and waiting answers.",
    ("max_lora", "waiting_lora_adapters", "running_lora_adapters"),
)
ADAPTER_INFO = Gauge(
    "nunmal_adapter_info", "1 for each loaded adapter and its version.", (*_MODEL, "adapter", "digest")
)
REDELIVERIES = Counter("nunmal_redeliveries_total", "Permits that came again: a worker or its line was gone.", _LANE)
BURIED = Counter("nunmal_buried_total", "Answers given up after three attempts without a token.", _LANE)
PICTURES_LOOKED = Histogram(
    "nunmal_picture_look_seconds", "From asking for a picture of a prompt to having it ready.", buckets=_CALL_BUCKETS
)

_GPU = ("gpu",)
GPU_UTILIZATION = Gauge("nunmal_gpu_utilization_ratio", "Share of the last moments in which the GPU computed.", _GPU)
GPU_MEMORY_USED = Gauge("nunmal_gpu_memory_used_bytes", "Of the GPU, by whomever.", _GPU)
GPU_MEMORY_TOTAL = Gauge("nunmal_gpu_memory_total_bytes", "Of the GPU.", _GPU)
GPU_TEMPERATURE = Gauge("nunmal_gpu_temperature_celsius", "Of the GPU's chip.", _GPU)

# An ingest worker.

INGEST_PAGES = Counter("nunmal_ingest_pages_total", "Pages of documents that were read and kept.")
INGEST_DOCUMENTS = Counter(
    "nunmal_ingest_documents_total", "Documents that were read to their end: ready, or an error code.", ("outcome",)
)

REINDEXED_DOCUMENTS = Counter(
    "nunmal_reindexed_documents_total", "Documents that were indexed anew: ready, or an error code.", ("outcome",)
)

DIGEST_OUTCOMES = Counter(
    "nunmal_digests_total", "Articles that were digested to their end: ready, or an error code.", ("outcome",)
)
DIGEST_SUMMARIES = Counter(
    "nunmal_digest_summaries_total", "Summaries of digests by who wrote them: llm, extract.", ("by",)
)
DIGEST_EXPLANATIONS = Counter(
    "nunmal_digest_explanations_total", "Explanations of terms in digests by who wrote them: llm, extract.", ("by",)
)
DIGEST_MODEL_ANSWERS = Counter(
    "nunmal_digest_model_answers_total",
    "What a model was asked to write for digests (summary, explanation): used, or why not.",
    ("field", "outcome"),
)
DIGEST_SECONDS = Histogram("nunmal_digest_seconds", "From claiming an article to its digest.", buckets=_REQUEST_BUCKETS)

# A lane, as a web node sees it.

QUEUE_DEPTH = Gauge("nunmal_queue_depth", "Questions that wait for a worker.", _LANE)
QUEUE_OLDEST_AGE = Gauge("nunmal_queue_oldest_age_seconds", "Since the longest waiting one was asked; 0: none.", _LANE)
WAITING_ROOM = Gauge("nunmal_waiting_room_size", "How many may wait; more are refused.", _LANE)
LANE_WORKERS = Gauge("nunmal_lane_workers", "Workers with a fresh heartbeat.", _LANE)
LANE_SLOTS = Gauge("nunmal_lane_slots", "Slots of these workers.", _LANE)
LANE_SLOTS_BUSY = Gauge("nunmal_lane_slots_busy", "Of these, those that write an answer.", _LANE)
DESIRED_WORKERS = Gauge("nunmal_desired_workers", "Workers that would keep the wait below its goal.", _LANE)
DEAD_LETTERS = Gauge("nunmal_dead_letters", "Given up answers that no operator has looked at.")

# A web node.

STREAMS_OPEN = Gauge("nunmal_streams_open", "Browser streams this web node holds.")
BROWSER_TIME_TO_FIRST_TOKEN = Histogram(
    "nunmal_browser_time_to_first_token_seconds",
    "From sending a question to its first text on the screen, as the browser saw it.",
    buckets=_TTFT_BUCKETS,
)
HTTP_REQUESTS = Counter(
    "nunmal_http_requests_total", "Answered requests by door (page, api, stream, asset) and class.", ("door", "status")
)
HTTP_REQUEST_DURATION = Histogram(
    "nunmal_http_request_duration_seconds", "Until the answer begins.", ("door",), buckets=_CALL_BUCKETS
)
REFUSALS = Counter("nunmal_refusals_total", "Questions that were not taken, by error code.", ("code",))
PICTURES = Counter("nunmal_pictures_total", "Pictures that came, by outcome: clean, or an error code.", ("outcome",))
PICTURE_CLEANING = Histogram("nunmal_picture_cleaning_seconds", "Of one picture.", buckets=_CALL_BUCKETS)
VOTES = Counter(
    "nunmal_votes_total",
    "Votes on answers, changed ones too; `adapter` is its name, empty for the model alone.",
    (*_MODEL, "adapter", "value"),
)
COMPARISONS = Counter("nunmal_comparisons_total", "Blind comparisons by what was chosen.", ("choice",))
SECURITY_EVENTS = Counter("nunmal_security_events_total", "Log-ins and refusals by kind.", ("kind",))

# Every process.

BUILD_INFO = Gauge("nunmal_build_info", "1; the labels tell the program.", ("version", "room"))
STORE_LATENCY = Histogram("nunmal_store_latency_seconds", "Of one call.", buckets=_CALL_BUCKETS)
STORE_ERRORS = Counter("nunmal_store_errors_total", "Calls that the store did not answer.", ("collection",))
BROKER_LATENCY = Histogram(
    "nunmal_broker_latency_seconds",
    "Until the broker has taken a message: permit (confirmed), control or node.",
    ("kind",),
    buckets=_CALL_BUCKETS,
)
BROKER_ERRORS = Counter("nunmal_broker_errors_total", "Messages that the broker did not take.", ("kind",))
BROKER_CONNECTED = Gauge("nunmal_broker_connected", "1 while messages can be sent and received.")
EVENT_LOOP_LAG = Histogram(
    "nunmal_event_loop_lag_seconds", "How much later than asked the event loop wakes.", buckets=_CALL_BUCKETS
)
EVENT_LOOP_TASKS = Gauge("nunmal_event_loop_tasks", "Tasks of the event loop that have not ended.")

"""What the service answers with a page, and what with something else. A test holds both to the application's routes."""

from __future__ import annotations

PAGES = frozenset(
    {
        *("/signup", "/login", "/logout", "/reset", "/reset/<token>"),
        *("/account", "/account/password", "/account/second-step", "/account/delete", "/account/deleted"),
        *("/chat", "/chat/<conversation_id>", "/chat/<conversation_id>/delete"),
        "/chat/<conversation_id>/turns/<turn_id>/edit",
        *("/search", "/library", "/library/<conversation_id>", "/library/<conversation_id>/print"),
        *("/library/links", "/library/import", "/shared/<token>"),
        *("/usage", "/keys", "/notices", "/developers"),
        *("/compare", "/compare/<comparison_id>", "/comparisons"),
        *("/documents", "/documents/<document_id>/pages/<int:number>", "/documents/answers/<answer_id>"),
        *("/digests", "/digests/<digest_id>", "/digests/batches/<batch_id>"),
        *("/ops", "/ops/access", "/ops/access/<grant_id>", "/ops/access/<grant_id>/<conversation_id>"),
        *("/adapters", "/adapters/<one>/diff/<other>", "/adapters/<version>/try", "/adapters/trials/<trial_id>"),
    }
)
# Files, streams, parts of pages, redirects and what programs read.
OTHER = frozenset(
    {
        *(
            "/",
            "/static/<version>/<path:name>",
            "/favicon.ico",
            "/.well-known/security.txt",
            "/healthz",
            "/readyz",
            "/acceptz",
        ),
        *("/chat/pictures/<picture_id>", "/chat/pictures/<picture_id>/thumbnail"),
        *("/shared/<token>/pictures/<picture_id>", "/ops/live"),
        *("/chat/<conversation_id>/stream/<generation_id>", "/adapters/trials/<trial_id>/stream/<generation_id>"),
        "/chat/<conversation_id>/turns/<turn_id>/answer",
        *("/compare/<comparison_id>/stream/<generation_id>", "/documents/live", "/documents/<document_id>/file"),
        *("/documents/<document_id>/pages/<int:number>.jpg", "/documents/answers/<answer_id>/stream"),
        *("/digests/live", "/digests/<digest_id>/live"),
        *("/digests/<digest_id>/export.json", "/digests/<digest_id>/export.md"),
        *("/library/<conversation_id>/export.md", "/library/<conversation_id>/export.json"),
    }
)
FOR_PROGRAMS = "/v1/"

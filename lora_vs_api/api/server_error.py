"""What a server's error says: its reason, the names that it gives it, and what kind of fault it is.

Servers agree neither on where the reason stands nor on a code for it, and a gateway may hand on the
error of the provider behind it. The words below are those of reports on their trackers; docs/apis.md
says which servers' bodies tests/test_server_errors.py tries.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_vs_api.shown import visible

if TYPE_CHECKING:
    from openai import APIStatusError

FILTER_STATUS = ("400", "403")
FILTER_CODES = {
    "content_filter", "content_policy_violation", "data_inspection_failed", "sensitive_words_detected",
}  # fmt: skip
# OpenAI's code of a text that it flags, which is OpenRouter's of any request that is not valid: the words tell
FLAG_CODE = "invalid_prompt"
FLAGGED = re.compile(r"\bprompt was flagged\b|\blimited access to this content for safety\b", re.I)
# How servers say that they do not take a text for what it says; none has a code for it in common. Named
# are the text, what became of it, and the filter: a policy alone is in messages about accounts too.
_TEXT = (
    r"\b(?:prompt|input|content|text|message|request|response|output|completion)s?\b[^.;]{0,40}?"
)
_FILTER = (
    r"(?<!['\"`])\b(?:content[ _-]?(?:management|filter|policy|moderation)|responsible ?ai|"
    r"(?:by|our) moderation|(?:safety|moderation) (?:system|filter|reason|polic|guideline|check)|"
    r"usage (?:polic|guideline))"
)
# DeepSeek, DashScope, Moonshot, one-api, LiteLLM and Zhipu, whose sentences name no filter
_FIXED = (
    r"\bcontent exists risk\b|\bmay contain (?:inappropriate|sensitive) (?:content|information)\b|"
    r"\brequest was rejected because it was considered high risk\b|"
    r"\b(?:input|output) contains sensitive words\b|\bviolated guardrail policy\b|"
    r"包含不安全或敏感内容|\bdetected potentially unsafe or sensitive content\b"
)
FILTERED = re.compile(
    rf"{_TEXT}\b(?:was|were|is|are|been|got) (?:flagged|filtered)\b|"
    rf"{_TEXT}\b(?:flagged|filtered|blocked|rejected|stopped|violat\w+|trigger\w*)\b[^;]{{0,80}}?{_FILTER}|"
    rf"\bflagged_input\b|{_FIXED}",
    re.I,
)
FILTERED_SENTENCE = re.compile(_FIXED, re.I)
# Not of this text: whoever asks is shut out, and every text with it. A threat ("may be suspended") is none.
_WHO = (
    r"\b(?:account|organi[sz]ation|key|subscription|resource|project|tenant|workspace|team|"
    r"user(?!\S*\s(?:prompt|input|content|text|message|request)))s?\b(?!')"
)
_SHUT = (
    r"\b(?:suspen(?:ded|sion)|disabled|blocked|banned|deactivated|terminat(?:ed|ion)|restricted|"
    r"revoked|closed|locked)\b"
)
_SURELY = r"(?:(?!\b(?:may|might|could|can|be|being)\b)[^.;]){0,60}?"
SHUT_OUT = re.compile(rf"{_WHO}{_SURELY}{_SHUT}|{_SHUT}\s(?:\w+\s){{0,2}}{_WHO}", re.I)

# "exceeded your current quota" is none of them: Gemini says it of a limit per minute, too
QUOTA_CODES = {
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active",
    "exceeded_current_quota_error", "insufficient_balance", "credit_limit", "credit_balance_exhausted",
    "insufficient_credits", "insufficient_gpt_quota", "budget_exceeded", "token_quota_reached",
    # one-api and new-api, Volcengine, DashScope, Google
    "insufficient_user_quota", "pre_consume_token_quota_failed", "AccountOverdueError",
    "OperationDenied.ServiceOverdue", "Arrearage", "AllocationQuota.FreeTierOnly", "BILLING_DISABLED",
}  # fmt: skip
QUOTA = re.compile(
    r"\b(?:credit )?balance is (?:too low|insufficient)\b|\binsufficient (?:\w+ )?(?:balance|credits?|funds)\b|"
    r"\bused all (?:available|your) credits\b|\bdoesn't have any credits\b|\bmonthly spending limit\b|"
    r"\bcredits (?:are|have been) (?:depleted|exhausted)\b|余额不足|欠费|预扣费额度失败|"
    r"\brun out of credits\b|\bnot have enough credits\b|\bcredit limit is insufficient\b|"
    # one-api and new-api, with amounts between
    r"\b(?:user|token)\b[^.;]{0,20}\bquota\b[^.;]{0,40}\bis not enough\b|\bbalance \S+ is insufficient\b|"
    # Volcengine, DashScope, Google, fal, Cohere, Databricks, Cloudflare
    r"\boverdue (?:balance|payment)\b|\baccount (?:is )?overdue\b|\bsure your account is in good standing\b|"
    r"\bfree tier of the model has been exhausted\b|\brequires billing to be enabled\b|\bexhausted balance\b|"
    r"\btrial has ended\b|\bspend limit exceeded\b|\bused up your daily free allocation\b|"
    # LiteLLM, Anthropic, Moonshot
    r"\bbudget has been exceeded\b|\breached your specified (?:\w+ )?API usage limits\b|"
    r"\busage limit for this billing cycle\b|\bkey (?:has )?(?:reached|exceeded) its (?:\w+ )?limit\b|\bkey limit exceeded\b",
    re.I,
)
# A limit that a minute renews, under a name that is elsewhere one of money (DashScope, SenseNova)
RENEWED = re.compile(
    r"\ballocated quota exceeded\b|\b(?:requests?|tokens?) (?:per|a) (?:minute|second|min)\b|\b[RT]P[MS]\b|"
    r"\brate limit (?:reached|exceeded)\b|\btoo many requests\b",
    re.I,
)
# what some servers refuse with status 400 or 403 until it passes (Fireworks, Bedrock, Google)
RATE_CODES = {
    "rate_limit_exceeded", "rate_limit_error", "rateLimitExceeded", "ThrottlingException", "throttling_error",
}  # fmt: skip
RATE = re.compile(
    r"\brate limit (?:is |was |has been )?(?:reached|exceeded)\b|\bexceeded (?:the |your )?rate limit\b|"
    r"\btoo many (?:requests|tokens),? please (?:wait|slow|retry|try)\b|\bThrottlingException\b",
    re.I,
)
PLACE_CODES = {"unsupported_country_region_territory"}
# a parameter of the request may be called location, too: here it is that of who asks
PLACE = re.compile(
    r"\b(?:your|users?(?:['’]s)?)\b[^.;'\"`]{0,20}\b(?:country|region|territory|location)\b[^.;]{0,30}\bnot supported\b|"
    r"\b(?:country|region|territory)(?:, (?:or )?| or )(?:country|region|territory)\b[^.;]{0,30}\bnot supported\b",
    re.I,
)
KEY = re.compile(
    r"\b(?:invalid|incorrect|missing|expired|malformed) api[ _-]?key\b|"
    r"\bapi[ _-]?key (?:is )?(?:not valid|invalid|not found|expired|incorrect|missing)\b|\bAPI_KEY_INVALID\b",
    re.I,
)
# the account's own choice of providers and of what these may do with a text (OpenRouter)
ACCOUNT = re.compile(
    r"\b(?:matching|match) your [\w ]*(?:data policy|guardrail)|\bno allowed providers are available\b|"
    r"\ball providers have been ignored\b",
    re.I,
)
# a model of another endpoint
OTHER_ENDPOINT_CODES = {"OperationNotSupported"}
OTHER_ENDPOINT = re.compile(
    r"\b(?:only )?(?:not )?supported in (?:the )?v1/|\bnot a chat model\b|"
    r"\boperation does not work with the specified model\b",
    re.I,
)
MODEL_CODES = {
    "model_not_found", "model_not_available", "model_not_supported", "model_decommissioned",
    "dedicated_endpoint_not_running", "invalid_model", "unknown_model", "DeploymentNotFound",
    "key_model_access_denied", "team_model_access_denied",
}  # fmt: skip
# the status of an error that has none (within an answer of status 200), by what it is called
STATUS_OF_NAME = dict.fromkeys(sorted(MODEL_CODES), 404) | {
    "key_model_access_denied": 403,
    "team_model_access_denied": 403,
    "context_length_exceeded": 400,
    "invalid_parameter_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
}
# MiniMax's numbers by the names that others give the same
NAME_OF_NUMBER = {
    "1004": "invalid_api_key", "2049": "invalid_api_key", "1008": "insufficient_balance",
    "2056": "insufficient_quota", "2061": "model_not_supported", "2013": "invalid_parameter_error",
    "1026": "content_filter", "1027": "content_filter",
}  # fmt: skip
# a model that live requests do not reach
BATCH_ALONE = re.compile(r"\bonly available (?:through|via|in|with) the batch api\b", re.I)
# a model's name may hold dots
_UP_TO = r"(?:[^.;\n]|\.(?=\S)){0,160}?"
MODEL = re.compile(
    rf"\bmodels?\b{_UP_TO}\b(?:not found|(?:does |do )?not exist|not (?:currently )?(?:available|loaded|deployed)|"
    r"unavailable|decommissioned|retired|no longer (?:available|supported)|not a valid model|not allowed on this server)\b|"
    r"^\W*model disabled\b|\bmodel has been deprecated\b|\S was retired (?:at|on) \d|"
    r"\b(?:unknown|invalid|no such|non-serverless) model\b(?! (?:parameter|output|response))|"
    r"\bnot a valid model\b|\bno models? (?:is |are )?(?:loaded|available)\b|"
    r"\bmodel (?:name|id|identifier) is (?:invalid|unknown)\b|"
    r"\bdeployment for this resource does not exist\b|\bfunction\b.{0,80}\bnot found for account\b|\bno endpoints found for\b|"
    r"\b(?:access to|authorized to access|allowed to access) (?:the )?model\b",
    re.I,
)
# no provider that takes the request as it is (OpenRouter): of its parameters, not of the address
NO_ROUTE = re.compile(r"\bno endpoints? found that\b", re.I)
# an address that is none of the server's; LM Studio says so with status 200
PATH = re.compile(
    r"\bunexpected endpoint or method\b|\bunknown request url\b|\binvalid url \(|\bno route matched\b",
    re.I,
)
# of an error without a body
NO_REASON = "no reason given"
PLAIN_HTTP = re.compile(
    r"\bplain HTTP request was sent to HTTPS port\b|\bHTTP request to an HTTPS server\b", re.I
)
# a firewall's answer, and not the server's: a page, or Cloudflare's code
PAGE = "a page, "
WALL = re.compile(rf"{PAGE}|error code: 1\d\d\d$")
# what stands where there is nothing: LiteLLM writes Python's None as a string
NOTHING = {"", "none", "null", "undefined", "nil"}
# an error within an error within …; no server goes so far
MOST_LEVELS = 4


# where an error's reason stands; beside a text under error, which may be no more than the status's name,
# stands the reason (NestJS, Spring)
REASONS = (
    "message", "detail", "error_description", "msg", "error_msg", "error_message", "errorMessage", "status_msg",
    "error",
)  # fmt: skip


@dataclass(frozen=True)
class ServerError:
    """An error's reason on one line, and its names where it has any, else empty.

    Attributes:
        kind: what the body calls its ``type``.
        parameter: of the request, as the server names it.
        echo: of a body that gives no reason, the texts that are its own: what lies deeper may be the request.
    """

    message: str
    code: str = ""
    kind: str = ""
    parameter: str = ""
    echo: str | None = None

    @property
    def blames(self) -> str:
        """The words in which to look for what is to blame."""
        return self.message if self.echo is None else self.echo

    @property
    def names(self) -> set[str]:
        """What the error is called; a message that is one word is a name, too."""
        word = self.message if re.fullmatch(r"\w+", self.message) else ""
        return {self.code, self.kind, word}

    @property
    def is_quota(self) -> bool:
        """Whether the account's money is used up, which no wait brings back."""
        named = self.names & QUOTA_CODES and not RENEWED.search(self.message)
        return bool(named or QUOTA.search(self.message))

    @property
    def is_rate_limit(self) -> bool:
        """Whether it passes by itself, whatever its status is."""
        return bool(self.names & RATE_CODES or RATE.search(self.message))

    @property
    def is_place(self) -> bool:
        """Whether the provider serves nobody where this runs."""
        return bool(self.names & PLACE_CODES or (not self.parameter and PLACE.search(self.message)))

    @property
    def is_account(self) -> bool:
        """Whether the account's own settings shut out every provider of the model."""
        return bool(ACCOUNT.search(self.message))

    @property
    def is_other_endpoint(self) -> bool:
        """Whether the model is there, and answers at another endpoint alone."""
        return bool(self.names & OTHER_ENDPOINT_CODES or OTHER_ENDPOINT.search(self.message))

    @property
    def names_model(self) -> bool:
        """Whether the model is to blame by the error's own names, whatever its words are."""
        return self.parameter == "model" or bool(self.names & MODEL_CODES)


def read_error(body: object, levels: int = MOST_LEVELS) -> ServerError:
    """What an error's body says, wherever it says it.

    A gateway's "Provider returned error" is followed by the provider's own reason and has its names.
    """
    said = unwrapped(body)
    if not isinstance(said, dict):
        return ServerError(short(_of_a_page(str(said))))
    words = next((words for name in REASONS if (words := said.get(name))), said)
    within = ServerError("")
    inner = opened(words) if isinstance(words, str) else None
    if any(as_mapping(unwrapped(inner)).get(name) for name in REASONS):
        # an error's JSON as text, which a gateway hands on
        words = inner
    if isinstance(words, list) and words and isinstance(words[0], dict) and "msg" in words[0]:
        # FastAPI's list, each with the place in the request
        place = _name(words[0], "loc")
        within = ServerError("", parameter=place)
        words = f"{place}: {words[0]['msg']}" if place else words[0]["msg"]
    if isinstance(words, dict) and words is not said and levels:
        # LiteLLM puts an error where its message would be, and a status or nothing for its names
        within = read_error(words, levels - 1)
        words = within.message
    if words is said and all(
        name in ("code", "type") or value is None for name, value in said.items()
    ):
        # no more than its names
        words = _name(said, "code") or _name(said, "type") or said
    found = ServerError(
        short(str(words)),
        within.code
        or _name(said, "code")
        or (NAME_OF_NUMBER.get(_name(said, "status_code"), "") if "status_msg" in said else ""),
        within.kind or _name(said, "type") or _reason(said.get("details")),
        within.parameter or _name(said, "param"),
        " ".join(text for text in said.values() if isinstance(text, str))
        if words is said
        else within.echo,
    )
    metadata = said.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not raw or not levels:
        return found
    behind = read_error(opened(raw), levels - 1)
    return ServerError(
        short(f"{found.message}: {behind.message}"),
        behind.code or found.code,
        behind.kind or found.kind,
        behind.parameter or found.parameter,
    )


def body_of(error: APIStatusError) -> object:
    """What a server has sent with an error: the client hands on no more than what stands under ``error``."""
    try:
        whole = opened(json.loads(error.response.text))
    # no JSON, nested too deeply, or a response that was not read
    except (ValueError, RecursionError, RuntimeError):
        whole = None
    return whole or error.body or NO_REASON


def says_filtered(status: object, body: object) -> bool:
    """Whether an error says that a content filter stopped this text.

    In doubt it does not: the condition then stops with the server's words, while a filtered text may
    count as wrong (``on_refusal``), and so may all of them.

    Args:
        status: of HTTP, or as the body of an answer of status 200 has it, or a batch's line, if any.
    """
    # the message alone: a validation error may quote the text that was asked
    error = read_error(body)
    if SHUT_OUT.search(error.message):
        return False
    if error.names & FILTER_CODES or (FLAG_CODE in error.names and FLAGGED.search(error.message)):
        return True
    if not re.fullmatch(r"[1-5]\d\d", str(status)):
        # no status of HTTP (a batch's line, Zhipu's numbers): the servers' own sentences alone, and these in what
        # is an error by a name that it has, since the words of an answer may be the same
        named = error.echo is None and (error.code or error.kind)
        return bool(named and FILTERED_SENTENCE.search(error.message))
    return str(status) in FILTER_STATUS and bool(FILTERED.search(error.message))


def message_of(body: object) -> str:
    """What an error's body says is wrong, on one line; APIs differ in where they say it."""
    return read_error(body).message


def holds_answer(body: object) -> bool:
    """Whether an answer of status 200 has any choice or output; beside an error these may be empty or null."""
    body = as_mapping(body)
    return bool(body.get("choices") or body.get("output"))


# under which names a body has the status of its error
_STATUS = ("status", "status_code", "statusCode")


def status_in(body: object) -> int | None:
    """The status that an error in an answer of status 200 should have had; None where it tells none.

    OpenRouter and others write it as the code, with ``error`` around it or bare, LM Studio answers to any path.
    Of a name that no retry mends it is the one that others send it with.
    """
    body = as_mapping(body)
    if not body or holds_answer(body):
        return None
    said = unwrapped(body)
    tells = any(body.get(name) is not None for name in ("code", *_STATUS))
    if not body.get("error") and not tells and said is body:
        return None
    error = read_error(body)
    # the gateway's own code, where the provider behind it has a word for one
    inner = said if isinstance(said, dict) else {}
    own = [_name(holder, name) for holder in (inner, body) for name in ("code", *_STATUS)]
    for code in (error.code, *own):
        if re.fullmatch(r"[45]\d\d", code):
            return int(code)
    if error.is_quota:
        return 402
    named = next(
        (STATUS_OF_NAME[name] for name in sorted(error.names & STATUS_OF_NAME.keys())), None
    )
    return 404 if named is None and PATH.search(error.message) else named


def status_of_choice(body: object) -> int | None:
    """The status of an error that stands in place of a choice (OpenRouter); None where it tells none, or has half an answer."""
    choice = first_choice(body)
    if not choice.get("error") or as_mapping(choice.get("message")).get("content"):
        return None
    return status_in({"error": choice["error"]})


def first_choice(body: object) -> dict[str, Any]:
    """The choice that a chat completion gives, empty where it has none."""
    return as_mapping(next(iter(as_list(as_mapping(body).get("choices"))), None))


def as_mapping(value: object) -> dict[str, Any]:
    """An object, which some servers put into a list of one; of anything else an empty one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A list, in place of which a list of one may come bare (SGLang's batches); of anything else an empty one."""
    if isinstance(value, dict):
        return [value] if value else []
    return value if isinstance(value, list) else []


def opened(value: object) -> object:
    """``value``, or what it says where it is the text of a JSON object or list."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value, parse_int=_integer)
    except (ValueError, RecursionError):
        return value


def _integer(digits: str) -> int | float:
    """An integer of any length, of which Python reads no long ones."""
    return int(digits) if len(digits) < 100 else float(digits)


def headers_in(body: object) -> dict[str, str]:
    """Headers of a rate limit that stand in an error's body (OpenRouter), names in lower case."""
    said = unwrapped(body)
    metadata = said.get("metadata") if isinstance(said, dict) else None
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    items = headers.items() if isinstance(headers, dict) else ()
    return {str(name).lower(): str(value) for name, value in items}


def unwrapped(body: object) -> object:
    """The error itself: Gemini sends a list of one, and it may stand under ``error``.

    Cloudflare and watsonx have a list of ``errors``, MiniMax a ``base_resp``, whose number 0 is none.
    """
    for _ in range(MOST_LEVELS):
        if isinstance(body, list) and body and isinstance(body[0], dict):
            body = body[0]
        elif isinstance(body, dict) and (error := _error_in(body)):
            body = error
        elif isinstance(body, dict) and (found := own_form(body)):
            body = found
        else:
            break
    return body


def _error_in(body: dict[str, Any]) -> dict[str, Any]:
    """What stands under ``error`` as an object, or as its text, or as the first of a list; else an empty one.

    FastAPI's list is left as it is: it tells the place in the request.
    """
    found = opened(body.get("error"))
    if isinstance(found, list):
        found = next(
            (first for first in found[:1] if isinstance(first, dict) and "msg" not in first), None
        )
    return found if isinstance(found, dict) else {}


def own_form(body: dict[str, Any]) -> dict[str, Any] | None:
    """The error of a body in one of those two forms, where no reason stands beside it; else None."""
    if any(body.get(name) for name in ("error", "message", "detail")):
        return None
    said, errors = body.get("base_resp"), body.get("errors")
    if isinstance(said, dict) and said.get("status_code"):
        return said
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) and first.get("message") else None


def _reason(details: object) -> str:
    """Google's name of an error, among its details."""
    listed = details if isinstance(details, list) else []
    found = (detail.get("reason") for detail in listed if isinstance(detail, dict))
    return next((reason for reason in found if isinstance(reason, str)), "")


def _of_a_page(text: str) -> str:
    """What a page of a gateway says: its title, or its text; any other text as it is."""
    if not re.match(r"\s*<(?:!doctype|html|\?xml|!--|head|body)", text, re.I):
        return text
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.I | re.S)
    words = title[1] if title else re.sub(r"<[^>]*>", " ", text)
    return f"{PAGE}{short(html.unescape(words), 200)!r}"


def _name(said: dict[str, Any], field: str) -> str:
    value = said.get(field)
    if isinstance(value, list):
        value = ".".join(map(str, value))
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None or isinstance(value, dict) else str(value)
    return "" if text.strip().lower() in NOTHING else text


def begins(found: object, what: str = "it") -> str:
    """How an answer begins that is none: the server's reason may stand in it, in a form of its own."""
    said = visible(short(json.dumps(found, ensure_ascii=False, default=str), 200))
    return f", {what} begins {said}" if found else ""


# a key, or a part of one: with its prefix, with stars in its middle, or as long as no word is
_KEY_LIKE = re.compile(
    r"\b(?:(?:sk|pk|rk|gsk|xai|key|hf|r8)[-_]|Bearer )[^\s'\"]*[\d*.…_-][^\s'\"]*|[^\s'\":]*\*{2,}[^\s'\"]*|[^\s'\":/]{28,}"
)


def without_keys(text: str) -> str:
    """What a server says of a key that it rejects, without what it may quote of it."""
    return _KEY_LIKE.sub("…", text)


def short(text: str, max_length: int = 300) -> str:
    """``text`` on one line, its end cut off where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= max_length else text[: max_length - 1] + "…"

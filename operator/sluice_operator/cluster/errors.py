"""What can go wrong between the operator and the API server."""


class ApiError(Exception):
    """An answer that is not success: HTTP status, Kubernetes' reason, its sentence."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Forbidden(ApiError):
    """The operator's own rights do not suffice."""


class Gone(ApiError):
    """The object, or its namespace, is not there."""


class Conflict(ApiError):
    """Somebody else was first."""


class Rejected(ApiError):
    """The API server will never take this object: it says which field."""


class Unavailable(ApiError):
    """Worth another try later: the network, a busy or a restarting server."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Rejected,
    403: Forbidden,
    404: Gone,
    409: Conflict,
    422: Rejected,
    429: Unavailable,
}


def api_error(status: int, reason: str, message: str) -> ApiError:
    """The error of our own tree for an answer."""
    kind = Unavailable if status >= 500 else _BY_STATUS.get(status, ApiError)
    return kind(status, reason, message)

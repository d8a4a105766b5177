"""The middlewares, kind by kind and option by option.

Owns their vocabulary, Traefik's.  A kind that is built loses its REFUSED here and is known to the loader, the schema
and the reference page from then on; today none is, so a router that names one does not serve.  Floor 2.
"""
from __future__ import annotations

from mesh.providers.kinds import Duration, Flag, Number, Text, Whole
from mesh.providers.shape import Anything, Built, Field, Kind, ListOf, MapOf, Shape

_TEXT, _FLAG, _WHOLE, _TIME = Text(), Flag(), Whole(), Duration()
_TEXTS, _PAIRS = ListOf(_TEXT), MapOf(_TEXT)


def _options(**kinds: Kind) -> Shape:
    return Shape(*(Field(name, kind) for name, kind in kinds.items()))


_IP_STRATEGY = _options(depth=_WHOLE, excludedIPs=_TEXTS, ipv6Subnet=_WHOLE)
_SOURCE = _options(ipStrategy=_IP_STRATEGY, requestHeaderName=_TEXT, requestHost=_FLAG)
_CLIENT_TLS = _options(ca=_TEXT, cert=_TEXT, key=_TEXT, insecureSkipVerify=_FLAG, caOptional=_FLAG)
_USERS = {"users": _TEXTS, "usersFile": _TEXT, "realm": _TEXT, "removeHeader": _FLAG, "headerField": _TEXT}
_ISSUER = {"country": _FLAG, "province": _FLAG, "locality": _FLAG, "organization": _FLAG, "commonName": _FLAG,
           "serialNumber": _FLAG, "domainComponent": _FLAG}
_REDIS = _options(endpoints=_TEXTS, tls=_CLIENT_TLS, username=_TEXT, password=_TEXT, db=_WHOLE, poolSize=_WHOLE,
                  minIdleConns=_WHOLE, maxActiveConns=_WHOLE, readTimeout=_TIME, writeTimeout=_TIME, dialTimeout=_TIME)
_ENCODED = ("Slash", "BackSlash", "NullCharacter", "Semicolon", "Percent", "QuestionMark", "Hash")

_KINDS: dict[str, tuple[str, Shape]] = {
    "addPrefix": ("A prefix before the path.", _options(prefix=_TEXT)),
    "basicAuth": ("Name and password.", _options(**_USERS)),
    "buffering": ("Whole bodies before they go on.", _options(
        maxRequestBodyBytes=_WHOLE, memRequestBodyBytes=_WHOLE, maxResponseBodyBytes=_WHOLE,
        memResponseBodyBytes=_WHOLE, disableRequestBuffer=_FLAG, disableResponseBuffer=_FLAG, retryExpression=_TEXT)),
    "chain": ("Several middlewares under one name.", _options(middlewares=_TEXTS)),
    "circuitBreaker": ("Rest for a service that fails.", _options(
        expression=_TEXT, checkPeriod=_TIME, fallbackDuration=_TIME, recoveryDuration=_TIME, responseCode=_WHOLE)),
    "compress": ("Smaller answers.", _options(
        encodings=_TEXTS, minResponseBodyBytes=_WHOLE, excludedContentTypes=_TEXTS, includedContentTypes=_TEXTS,
        defaultEncoding=_TEXT)),
    "contentType": ("No guess of the content type.", _options(autoDetect=_FLAG)),
    "digestAuth": ("Name and password, digested.", _options(**_USERS)),
    "encodedCharacters": ("Encoded characters in a path.", _options(
        **{f"allowEncoded{what}": _FLAG for what in _ENCODED})),
    "errors": ("Pages of a service in place of errors.", _options(
        status=_TEXTS, statusRewrites=MapOf(_WHOLE), service=_TEXT, query=_TEXT, errorRequestHeaders=_TEXTS)),
    "forwardAuth": ("Another service decides.", _options(
        address=_TEXT, tls=_CLIENT_TLS, trustForwardHeader=_FLAG, authResponseHeaders=_TEXTS,
        authResponseHeadersRegex=_TEXT, authRequestHeaders=_TEXTS, addAuthCookiesToResponse=_TEXTS,
        addAuthCookiesToResponseRegex=_TEXT, headerField=_TEXT, forwardBody=_FLAG, maxBodySize=_WHOLE,
        maxResponseBodySize=_WHOLE, preserveLocationHeader=_FLAG, preserveRequestMethod=_FLAG, authSigninURL=_TEXT)),
    "grpcWeb": ("gRPC-Web to gRPC.", _options(allowOrigins=_TEXTS)),
    "headers": ("Headers, CORS, security headers.", _options(
        customRequestHeaders=_PAIRS, customResponseHeaders=_PAIRS, accessControlAllowCredentials=_FLAG,
        accessControlAllowHeaders=_TEXTS, accessControlAllowMethods=_TEXTS, accessControlAllowOriginList=_TEXTS,
        accessControlAllowOriginListRegex=_TEXTS, accessControlExposeHeaders=_TEXTS, accessControlMaxAge=_WHOLE,
        addVaryHeader=_FLAG, allowedHosts=_TEXTS, hostsProxyHeaders=_TEXTS, sslProxyHeaders=_PAIRS, stsSeconds=_WHOLE,
        stsIncludeSubdomains=_FLAG, stsPreload=_FLAG, forceSTSHeader=_FLAG, frameDeny=_FLAG,
        customFrameOptionsValue=_TEXT, contentTypeNosniff=_FLAG, browserXssFilter=_FLAG, customBrowserXSSValue=_TEXT,
        contentSecurityPolicy=_TEXT, contentSecurityPolicyReportOnly=_TEXT, publicKey=_TEXT, referrerPolicy=_TEXT,
        permissionsPolicy=_TEXT, isDevelopment=_FLAG, featurePolicy=_TEXT, sslRedirect=_FLAG,
        sslTemporaryRedirect=_FLAG, sslHost=_TEXT, sslForceHost=_FLAG)),
    "inFlightReq": ("Requests at once.", _options(amount=_WHOLE, sourceCriterion=_SOURCE)),
    "ipAllowList": ("Clients by address.", _options(
        sourceRange=_TEXTS, ipStrategy=_IP_STRATEGY, rejectStatusCode=_WHOLE)),
    "ipWhiteList": ("The old name of ipAllowList.", _options(sourceRange=_TEXTS, ipStrategy=_IP_STRATEGY)),
    "passTLSClientCert": ("The client's certificate in a header.", _options(
        pem=_FLAG, info=_options(notAfter=_FLAG, notBefore=_FLAG, sans=_FLAG, serialNumber=_FLAG,
                                 subject=_options(**_ISSUER, organizationalUnit=_FLAG), issuer=_options(**_ISSUER)))),
    "plugin": ("Middlewares from elsewhere.", Shape()),
    "rateLimit": ("Requests in a time.", _options(
        average=Number(), period=_TIME, burst=_WHOLE, sourceCriterion=_SOURCE, redis=_REDIS)),
    "redirectRegex": ("Send clients elsewhere.", _options(regex=_TEXT, replacement=_TEXT, permanent=_FLAG)),
    "redirectScheme": ("Send clients to https.", _options(scheme=_TEXT, port=_TEXT, permanent=_FLAG)),
    "replacePath": ("Another path.", _options(path=_TEXT)),
    "replacePathRegex": ("Another path, by pattern.", _options(regex=_TEXT, replacement=_TEXT)),
    "retry": ("Try again.", _options(
        attempts=_WHOLE, initialInterval=_TIME, timeout=_TIME, maxRequestBodyBytes=_WHOLE, status=_TEXTS,
        disableRetryOnNetworkError=_FLAG, retryNonIdempotentMethod=_FLAG)),
    "stripPrefix": ("The path without a prefix.", _options(prefixes=_TEXTS, forceSlash=_FLAG)),
    "stripPrefixRegex": ("The same, by pattern.", _options(regex=_TEXTS)),
}

# Kinds that are built; the others make their object, and every router that names it, disabled.
BUILT: frozenset[str] = frozenset()

MIDDLEWARE = Shape(
    *(Field(name, MapOf(Anything()) if name == "plugin" else shape, doc,
            built=Built.YES if name in BUILT else Built.REFUSED)
      for name, (doc, shape) in _KINDS.items()),
    words="a middleware such as {stripPrefix: {prefixes: [/api]}}", exactly_one=tuple(_KINDS))

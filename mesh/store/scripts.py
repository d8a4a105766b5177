"""What Redis does for us in one step: Lua over one key each, so that it works in a Cluster.

Owns the form of an endpoint's document in `endpoints:<service>` and how hosts' opinions make it.  Many hosts write one
document; a host that read, changed and wrote it back would lose what others wrote in between, so the change is made
where the document is.  A document that cannot be read (somebody's slip of the pen) begins anew.  Floor 2.

The document, fields in this order, empty ones left out:

    {"state": "mixed", "why": "host-b: connection refused", "since": "2026-11-25T01:40:00Z", "weight": 1,
     "source": "file", "inFlight": 3, "requests": 1200, "failures": 7, "latencyMs": 2.4,
     "lastError": "connection refused (seen by host-b)",
     "opinions": {"host-a": {"state": "up", "at": "...", "inFlight": 3, ...},
                  "host-b": {"state": "down", "why": ...}}}

`state` is the word that all hosts agree on, else "mixed"; counts are sums over the hosts listed, the latency is their
mean by requests.  At most MOST hosts with the same state are listed: the first that came.
"""

_DOCUMENT = """
local ORDER = {'state', 'why', 'since', 'weight', 'override', 'source', 'host', 'inFlight', 'requests', 'failures',
               'latencyMs', 'lastError'}
local OPINION = {'state', 'why', 'at', 'inFlight', 'requests', 'failures', 'latencyMs'}

local function said(value)
    return (string.gsub(cjson.encode(value), '\\\\/', '/'))
end

local function written(fields, order)
    local parts = {}
    for _, name in ipairs(order) do
        local value = fields[name]
        if value ~= nil and value ~= '' and value ~= cjson.null then
            parts[#parts + 1] = '"' .. name .. '": ' .. said(value)
        end
    end
    return table.concat(parts, ', ')
end

local function read(text)
    if text then
        local ok, found = pcall(cjson.decode, text)
        if ok and type(found) == 'table' and type(found.opinions) == 'table' then
            for host, opinion in pairs(found.opinions) do
                if type(opinion) ~= 'table' then return {opinions = {}} end
            end
            return found
        end
    end
    return {opinions = {}}
end

local function write(key, url, found, now)
    local hosts, parts = {}, {}
    for host in pairs(found.opinions) do hosts[#hosts + 1] = host end
    if #hosts == 0 then return redis.call('HDEL', key, url) end
    table.sort(hosts)
    local state, why, flight, requests, failures, spent = nil, nil, 0, 0, 0, 0
    for _, host in ipairs(hosts) do
        local each = found.opinions[host]
        if state == nil then state = each.state elseif state ~= each.state then state = 'mixed' end
        if not why and (each.why or '') ~= '' then why = host .. ': ' .. tostring(each.why) end
        local many = tonumber(each.requests) or 0
        flight = flight + (tonumber(each.inFlight) or 0)
        requests, failures = requests + many, failures + (tonumber(each.failures) or 0)
        spent = spent + many * (tonumber(each.latencyMs) or 0)
        parts[#parts + 1] = said(host) .. ': {' .. written(each, OPINION) .. '}'
    end
    if found.state ~= nil and found.state ~= state then found.since = now end
    found.state, found.why, found.inFlight, found.requests, found.failures = state, why, flight, requests, failures
    found.latencyMs = requests > 0 and math.floor(spent / requests * 100 + 0.5) / 100 or 0
    return redis.call('HSET', key, url, '{' .. written(found, ORDER) .. ', "opinions": {' .. table.concat(parts, ', ')
                      .. '}}')
end
"""

# KEYS: endpoints:<service>.  ARGV: host, now, most hosts of one state, then for each endpoint its url, what holds for
# all (JSON: weight, override, source, host, since, lastError) and this host's opinion (JSON; "": it has none any more).
# Answers how many endpoints the service has now.
OPINE = _DOCUMENT + """
local host, now, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i = 4, #ARGV, 3 do
    local url, found = ARGV[i], read(redis.call('HGET', KEYS[1], ARGV[i]))
    local may = true
    if ARGV[i + 2] == '' then
        may = found.opinions[host] ~= nil
        found.opinions[host] = nil
    else
        local opinion = cjson.decode(ARGV[i + 2])
        if found.opinions[host] == nil then
            local same = 0
            for _, each in pairs(found.opinions) do
                if each.state == opinion.state then same = same + 1 end
            end
            may = same < most
        end
        if may then
            found.opinions[host] = opinion
            local since = found.since
            for name, value in pairs(cjson.decode(ARGV[i + 1])) do found[name] = value end
            found.since = since or found.since
        end
    end
    if may then write(KEYS[1], url, found, now) end
end
return redis.call('HLEN', KEYS[1])
"""

# KEYS: endpoints:<service>.  ARGV: now, how many urls, the urls, then the hosts that live.  Takes out the opinions of
# all others; answers how many endpoints the service has now.
SWEEP = _DOCUMENT + """
local now, many, lives = ARGV[1], tonumber(ARGV[2]), {}
for i = 3 + many, #ARGV do lives[ARGV[i]] = true end
for i = 3, 2 + many do
    local found = read(redis.call('HGET', KEYS[1], ARGV[i]))
    local has_gone, is_empty = false, next(found.opinions) == nil
    for host in pairs(found.opinions) do
        if not lives[host] then
            found.opinions[host] = nil
            has_gone = true
        end
    end
    if has_gone or is_empty then write(KEYS[1], ARGV[i], found, now) end
end
return redis.call('HLEN', KEYS[1])
"""

# KEYS: a hash.  ARGV: field, the value that is expected there ("": none), the new one ("": none).  Answers 1 if it was.
SWAP = """
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
"""

# KEYS: a string.  ARGV: host, ms.  Answers 1 to the host that tells, which goes on to do so until it was silent for so
# long.  What comes and goes and comes again is told each time that way; another host that sees it late says nothing.
TELLS = """
local one = redis.call('GET', KEYS[1])
if one and one ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

# KEYS: a hash.  ARGV: field, value.  Answers 1 to the first who says so.
FIRST = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""

# KEYS: a string, unix ms.  Sets it to now, if it is missing; the clock is Redis's own, for those of hosts differ.
BORN = """
local now = redis.call('TIME')
return redis.call('SET', KEYS[1], string.format('%d', now[1] * 1000 + math.floor(now[2] / 1000)), 'NX')
"""

# KEYS: the same.  Answers it and how many ms ago that is (-1: it cannot be read), or nothing.
AGE = """
local born, now = redis.call('GET', KEYS[1]), redis.call('TIME')
if not born then return false end
local at = tonumber(born)
return {born, at and string.format('%d', now[1] * 1000 + math.floor(now[2] / 1000) - at) or '-1'}
"""

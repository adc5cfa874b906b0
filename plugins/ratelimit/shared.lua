-- Counts one request of one key, or leaves it. The clock is the server's, in microseconds since a day in 2023, so that
-- fractions of a microsecond fit into a number.
--
-- KEYS[1]  the key
-- ARGV     algorithm, limit, per in microseconds, size of the bucket, cost, how many units are wanted beyond cost, and for
--          how many microseconds a request may be held back
-- returns  the units granted (0: refused), how long to wait, the units left, and how long until all are there again
local algorithm = ARGV[1]
local limit, per, size = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local cost, more, patience = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1700000000) * 1000000 + tonumber(time[2])
local state = redis.call('GET', KEYS[1]) or ''

-- Far from the limit a process takes some units in advance, near it none, so that none are left over there.
local function grant(room)
  return cost + math.min(more, math.max(0, math.floor((room - cost) / 16)))
end

local function keep(value, for_)
  redis.call('SET', KEYS[1], value, 'PX', math.max(1, math.ceil(for_ / 1000)))
end

if algorithm == 'bucket' then
  local interval = per / limit
  local most = interval * size
  local full = tonumber(state) or now
  full = math.min(math.max(full, now), now + most + patience)
  local room = math.floor((now + most - full) / interval + 0.000001)
  if room >= cost then
    local units = grant(room)
    full = full + units * interval
    keep(string.format('%.17g', full), full - now)
    return {units, 0, room - units, math.ceil(full - now)}
  end
  local wait = full + cost * interval - most - now
  if wait > patience then
    return {0, math.ceil(wait), math.max(0, room), math.ceil(full - now)}
  end
  full = full + cost * interval
  keep(string.format('%.17g', full), full - now)
  return {cost, math.ceil(wait), 0, math.ceil(full - now)}
end

local stop, used, past = string.match(state, '^(%d+) (%d+) (%d+)$')
stop, used, past = tonumber(stop) or 0, tonumber(used) or 0, tonumber(past) or 0 -- stop is the window's end
local slides = algorithm == 'sliding'
if stop > now + per or stop + (slides and per or 0) <= now then
  stop, used, past = now + per, 0, 0
elseif stop <= now then
  stop, used, past = stop + per, 0, used
end
local left = stop - now
local weighed = used
if slides then
  weighed = used + math.ceil(past * left / per)
end
local room = limit - weighed
if room >= cost then
  local units = grant(room)
  used = used + units
  keep(string.format('%.0f %.0f %.0f', stop, used, past), left + (slides and per or 0))
  return {units, 0, room - units, left + (slides and per or 0)}
end
local wait = left
if slides then
  local spare = limit - cost - used
  if spare >= 0 then
    wait = math.ceil(left - spare * per / past)
  else
    wait = math.ceil(left + per - (limit - cost) * per / used)
  end
end
return {0, math.max(1, wait), math.max(0, room), left + (slides and per or 0)}

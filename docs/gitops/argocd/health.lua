-- The health of a DatabaseProxy for Argo CD: resource.customizations.health.sluice.dev_DatabaseProxy

local status = obj.status
if status == nil or status.conditions == nil then
  return { status = "Progressing", message = "the operator has not looked at it yet" }
end
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not looked at this spec yet" }
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end

local function is(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end

-- Stalled: no waiting will help. The others may pass, but somebody should look.
if is("Stalled", "True") then
  return { status = "Degraded", message = conditions.Stalled.message }
end
for _, kind in ipairs({ "Accepted", "CredentialsReady", "TargetsAvailable" }) do
  if is(kind, "False") then
    return { status = "Degraded", message = conditions[kind].message }
  end
end

local progress = conditions.Progressing
if progress ~= nil and progress.reason == "Suspended" then
  return { status = "Suspended", message = progress.message }
end
-- Something keeps the pods from getting there; Reconciling alone would look like a rollout.
-- Not a write that the API server failed at: it is tried again within seconds.
local passes = { Settled = true, APIServerError = true }
if is("Progressing", "False") and not passes[progress.reason] then
  return { status = "Degraded", message = progress.message }
end
-- Clients are served, but not yet by the newest spec.
if is("Reconciling", "True") then
  return { status = "Progressing", message = conditions.Reconciling.message }
end
if is("Ready", "True") then
  return { status = "Healthy", message = conditions.Ready.message }
end
return { status = "Progressing", message = conditions.Ready and conditions.Ready.message or "" }

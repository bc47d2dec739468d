# 1. Create a CP-managed workspace (requires controlplane backend + MOLECULE_ORG_ID)
WS=$(curl -s -X POST https://acme.moleculesai.app/workspaces \
  -H "Authorization: Bearer $ORG_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"name": "prod-agent", "runtime": "hermes", "tier": 2}' \
  | jq -r '.id')

# 2. Wait for it to be running (~20-40s)
until curl -s https://acme.moleculesai.app/workspaces/$WS \
  | jq -r '.status' | grep -q ready; do sleep 5; done
echo "Workspace $WS is ready"

# 3. In Canvas: open the workspace → Terminal tab
#    The platform calls EIC on your behalf and opens a shell.
#    No SSH keys, no IP lookup — it just works.

# 4. Verify the PTY works by running a command
whoami # should return: root (inside the container)
df -h / # disk usage inside the workspace container
echo $MOLECULE_WS_ID # confirm you're in the right workspace

# 5. Inspect the EIC tunnel via CloudWatch (AWS console)
#    Filter: eventName=OpenTunnel, eventSource=ec2-instance-connect
#    Principal: your IAM role ARN
#    Target: the instance_id of the workspace

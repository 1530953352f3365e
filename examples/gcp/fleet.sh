#!/bin/sh
# A fleet that follows its load: machines that are proxy and app host, in a managed instance group
# behind a passthrough Network Load Balancer, which leaves the client's address as it is.
# docs/guides/autoscaling.md explains it, and says what it has not been tried with.
set -eu

: "${PROJECT:?}" "${REGION:?}"
: "${IMAGE:?of Debian, with USER_DATA; or made from a machine that wsdeploy has sealed}"
# The file that wsdeploy bundle prints; an image that has all of it needs none.
user_data=${USER_DATA:+--metadata-from-file=user-data=$USER_DATA}
name=ws

gcloud config set project "$PROJECT"

gcloud compute instance-templates create "$name" \
    --image="$IMAGE" --machine-type=c3-standard-4 --tags="$name" \
    ${user_data:+"$user_data"}

# Clients, and the health checks of Google's balancers.
gcloud compute firewall-rules create "$name-clients" \
    --allow=tcp:443 --source-ranges=0.0.0.0/0 --target-tags="$name"
gcloud compute firewall-rules create "$name-checks" \
    --allow=tcp:80 --source-ranges=35.191.0.0/16,130.211.0.0/22,209.85.152.0/22,209.85.204.0/22 \
    --target-tags="$name"

gcloud compute health-checks create http "$name" --region="$REGION" \
    --port=80 --request-path=/healthz --check-interval=5s --timeout=3s \
    --healthy-threshold=2 --unhealthy-threshold=2

# The group repairs machines by the same check: longer than one takes from power-on to an answer.
gcloud compute instance-groups managed create "$name" --region="$REGION" \
    --template="$name" --size=2 --health-check="$name" --health-check-region="$REGION" \
    --initial-delay=120

# One machine less in ten minutes at most, so that a drain is over before the next one begins.
gcloud compute instance-groups managed set-autoscaling "$name" --region="$REGION" \
    --min-num-replicas=2 --max-num-replicas=10 --cool-down-period=120 \
    --target-cpu-utilization=0.6 \
    --scale-in-control=max-scaled-in-replicas=1,time-window=600

gcloud compute backend-services create "$name" --region="$REGION" \
    --load-balancing-scheme=EXTERNAL --protocol=TCP \
    --health-checks="$name" --health-checks-region="$REGION" \
    --connection-draining-timeout=0
gcloud compute backend-services add-backend "$name" --region="$REGION" \
    --instance-group="$name" --instance-group-region="$REGION"
gcloud compute forwarding-rules create "$name" --region="$REGION" \
    --load-balancing-scheme=EXTERNAL --ip-protocol=TCP --ports=443 \
    --backend-service="$name" --backend-service-region="$REGION"

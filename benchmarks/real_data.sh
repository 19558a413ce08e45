#!/usr/bin/env bash
# Trains and tests on the real data sets of the README's "Results": real_data.sh SET [BUDGET]
#
# SET is camvid, nuclei or nuclei-coco, read from ../shared/data (or DATA). Writes the log, the
# epochs' figures, the test figures and the report to benchmarks/results/SET.{log,csv,json,html},
# and the test figures with a second, mirrored look at each photo to SET-flip.json, which CamVid's
# package asks for wherever it is served. CamVid's report is the one without photos (CC BY-NC).
set -euo pipefail
cd "$(dirname "$0")/.."

data=${DATA:-../shared/data}
recipe=()
report=report.html
case ${1:-} in
  camvid)
    folder=$data/camvid
    budget=${2:-90m}
    report=report-without-photos.html
    options=(--ignore-id 11 --classes
      sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist)
    recipe=(--export-stride 8 --export-size 640 --export-flip --set frozen_stride=4
      --loss 'ce + lovasz' --class-weights none --set early_share=0.45 --set color_jitter=0.5
      --set copy_paste=0.5 --set label_smoothing=0.1 --set ema_decay=0.999
      --set weight_decay=0.05) ;;
  nuclei) folder=$data/nuclei; budget=${2:-12m}; options=(); recipe=(--export-stride 8) ;;
  nuclei-coco)
    folder=$data/nuclei
    budget=${2:-12m}
    options=(--format coco)
    recipe=(--export-stride 8) ;;
  *) sed -n '2,7s/^# //p' "$0"; exit 2 ;;
esac

atrous=${ATROUS:-.venv/bin/atrous}
out=benchmarks/results/$1
export ATROUS_HOME=${ATROUS_HOME:-$(mktemp -d)}
{
  echo "$(date +%F), $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
  echo "atrous train $folder ${options[*]} ${recipe[*]} --as $1 --time-budget $budget"
  start=$SECONDS
  "$atrous" train "$folder" "${options[@]}" "${recipe[@]}" --as "$1" \
    --time-budget "$budget" 2>&1 |
    sed -u "s#$ATROUS_HOME#ATROUS_HOME#"
  echo "wall time of the training command: $((SECONDS - start)) s"
  echo "atrous evaluate $1/1 $folder ${options[*]} --scales 1 --json"
} | tee "$out.log"
"$atrous" evaluate "$1/1" "$folder" "${options[@]}" --scales 1 --json > "$out.json"
"$atrous" evaluate "$1/1" "$folder" "${options[@]}" --flip --json > "$out-flip.json"
cp "$ATROUS_HOME/runs/$1/0001/results.csv" "$out.csv"
cp "$ATROUS_HOME/runs/$1/0001/$report" "$out.html"
cat "$out.json"

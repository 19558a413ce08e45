// Node without any package; prints a JSON line for each way to send a picture.
import { readFileSync } from "node:fs";

const [path, url] = process.argv.slice(2);
const { SERVER, API_KEY, MODEL } = process.env;
const picture = readFileSync(path);
const text = picture.toString("base64");

async function report(name, address, body, headers = {}) {
    const answer = await fetch(address, { method: "POST", body, headers });
    const found = { case: name, status: answer.status, body: await answer.json() };
    console.log(JSON.stringify(found));
}

function route(parameters) {
    return `${SERVER}/${MODEL}?${new URLSearchParams(parameters)}`;
}

const withKey = route({ api_key: API_KEY });
await report("base64 text", withKey, text);
await report("data URI", withKey, `data:image/png;base64,${text}`);
await report("bytes", withKey, picture);
const form = new FormData();
form.append("file", new Blob([picture]), "picture.png");
await report("FormData", withKey, form);
await report("Blob, key as bearer", route({}), new Blob([picture], { type: "image/png" }), {
    Authorization: `Bearer ${API_KEY}`,
});
await report("picture by URL", route({ api_key: API_KEY, image: url }));
await report("wrong key", route({ api_key: "atr_wrong" }), text);

const images = [{ type: "base64", value: text }, { type: "url", value: url }];
for (const [name, image] of [["JSON, one picture", images[0]], ["JSON, two pictures", images]]) {
    const body = JSON.stringify({ model_id: MODEL, api_key: API_KEY, image });
    const headers = { "Content-Type": "application/json" };
    await report(name, `${SERVER}/infer/semantic_segmentation`, body, headers);
}

// Node without any package: the base64 text of a picture, then its bytes, then its URL.
import { readFileSync } from "node:fs";

const [path, url] = process.argv.slice(2);
const { SERVER, API_KEY, MODEL } = process.env;
const target = new URL(`${SERVER}/${MODEL}`);
target.searchParams.set("api_key", API_KEY);
const picture = readFileSync(path);

async function post(address, body) {
    const answer = await fetch(address, { method: "POST", body });
    console.log(JSON.stringify({ status: answer.status, body: await answer.json() }));
}

await post(target, picture.toString("base64"));
await post(target, picture);
const form = new FormData();
form.append("file", new Blob([picture]), "picture.png");
await post(target, form);
target.searchParams.set("image", url);
await post(target);
target.searchParams.set("api_key", "atr_wrong");
await post(target);

// One picture on its way to the server. An XMLHttpRequest, because fetch tells nobody how far an upload is.

// Resolves to {isStored, body} once the server has spoken, and to undefined if `signal` ended it; rejects with TypeError
// if the network fails, as fetch does. `body` is the server's JSON, or null. `onProgress(share)`: from 0 to 1.
export function upload(url, fields, onProgress, signal) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(total ? loaded / total : 0));
    request.addEventListener("load", () => resolve({ isStored: request.status === 201, body: request.response }));
    request.addEventListener("error", () => reject(new TypeError("upload failed")));
    request.addEventListener("abort", () => resolve());
    signal.addEventListener("abort", () => request.abort());
    request.send(data);
  });
}

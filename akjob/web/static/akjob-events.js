// One stream of events for all tabs of a browser: over HTTP/1.1 it may open six connections to a host, and no more.
const ports = new Set();
let source = null, failures = 0, retry = 0;
const tell = (message) => { for (const port of ports) port.postMessage(message); };
function open() {
  if (source || !ports.size) return;
  source = new EventSource("/api/v1/events");
  source.onopen = () => { failures = 0; tell({ open: true }); };
  source.addEventListener("change", (event) => tell({ change: JSON.parse(event.data) }));
  source.addEventListener("refetch", () => tell({ open: true })); // more changed than is kept
  source.onerror = () => {
    source.close(); source = null; failures += 1;
    const wait = failures < 5 ? Math.min(2 ** failures, 15) + Math.random() : 10;
    tell({ wait, failures });
    clearTimeout(retry); retry = setTimeout(open, wait * 1000);
  };
}
function join(port) {
  port.onmessage = ({ data }) => {
    if (data === "leave") ports.delete(port); else ports.add(port);
    if (!ports.size) { source?.close(); source = null; } else if (source?.readyState === 1) port.postMessage({ open: true }); else open();
  };
  port.start?.();
}
self.onconnect = ({ ports: [port] }) => join(port);

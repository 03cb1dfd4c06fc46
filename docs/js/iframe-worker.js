// Search in pages that are opened from a folder. Browsers refuse workers there, so the
// worker's script runs in a hidden frame. Elsewhere this file does nothing.
if (location.protocol === "file:") {
  const inside = `
    postMessage = data => parent.dispatchEvent(
      new parent.MessageEvent("frame-worker", { data, source: self }));
    importScripts = (...urls) => urls.reduce((before, url) => before.then(() =>
      new Promise((resolve, reject) => {
        const script = document.createElement("script");
        Object.assign(script, { src: url, onload: resolve, onerror: reject });
        document.body.appendChild(script);
      })), Promise.resolve());`;
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      this.ready = new Promise(resolve => { this.frame.onload = resolve; });
      const page = this.frame.contentWindow;
      page.document.open();
      page.document.write(
        `<body><script>${inside}<\/script><script src="${url}"><\/script></body>`);
      page.document.close();
      window.addEventListener("frame-worker", event => {
        if (event.source === this.frame.contentWindow)
          this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
    }
    postMessage(data) {
      this.ready.then(() => {
        const page = this.frame.contentWindow;
        page.dispatchEvent(new page.MessageEvent("message", { data }));
      });
    }
    terminate() { this.frame.remove(); }
  };
  window.Worker = window.IFrameWorker;
}

/*
 * A stand-in for Totango's own script for pages: what is publicly known of it, written anew. The pretend Totango serves
 * it, and it reports to where it came from. What it does, and how sure that is: docs/totango.md, "A pretend Totango".
 */
(function () {
  "use strict";

  var NAME_OF_PING = "__heartbeat";
  var SIGNS_OF_LIFE = ["keyup", "mousemove", "click", "scroll"];
  var COOKIE = "totango_stand_in";
  var script = document.currentScript;
  var PIXEL = new URL("/pixel.gif/", script && script.src ? script.src : location.href).href;

  var setUp = window.totango_options || {};
  var name = setUp.tracker_name || "totango";
  var state, timer, lastUsed, idle;

  forget();

  /* What is known of an account, a user or a product, from its id as text or from an object. */
  function described(given, idKeys, nameKeys) {
    var found = { id: undefined, foreignId: undefined, name: undefined, attributes: {} };
    if (given === undefined || given === null) return found;
    if (typeof given !== "object") given = { id: given };
    Object.keys(given).forEach(function (key) {
      if (idKeys.indexOf(key) >= 0) found.id = found.id || text(given[key]);
      else if (key === "fid" || key === "ofid") found.foreignId = text(given[key]);
      else if (nameKeys.indexOf(key) >= 0) found.name = text(given[key]);
      else if (given[key] !== undefined) found.attributes[key] = given[key];
    });
    return found;
  }
  function account(given) {
    return described(given, ["id", "o"], ["name", "odn"]);
  }
  function user(given) {
    return described(given, ["id", "u"], []);
  }
  function product(given) {
    return described(given, ["id"], []);
  }

  /* Attributes are remembered for as long as the same one is spoken of. */
  function merged(known, news) {
    if (!known || (news.id && known.id && news.id !== known.id)) return news;
    return {
      id: news.id || known.id,
      foreignId: news.foreignId || known.foreignId,
      name: news.name || known.name,
      attributes: Object.assign({}, known.attributes, news.attributes),
    };
  }

  /* Text, numbers and booleans as JavaScript prints them; of the rest nothing sensible is left, as with the real one. */
  function text(value) {
    if (value === undefined) return undefined;
    var plain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    return plain ? String(value) : "[object Object]";
  }

  /* One request: everything that is known, and perhaps an activity. Parameters in the order of the real one. */
  function send(activity, module) {
    var who = state.user, whose = state.account, part = state.product;
    var params = [], own = {};
    if (part && part.id && whose.id) {
      own = Object.assign({ product_id: part.id, parent_id: whose.id }, part.attributes);
      whose = { id: text(own.account_id) || whose.id + "_" + part.id, attributes: own };
      delete own.account_id;
      delete own.module;
    } else if (state.parent && state.parent.id) {
      own = { parent_id: state.parent.id };
    }
    function add(key, value) {
      value = text(value);
      if (value !== undefined && value !== "") params.push(encodeURIComponent(key) + "=" + encodeURIComponent(value));
    }
    function addAll(prefix, attributes) {
      Object.keys(attributes).forEach(function (key) {
        add(prefix + key, attributes[key]);
      });
    }
    add("sdr_s", state.service);
    add("sdr_o", whose.id);
    add("sdr_ofid", whose.foreignId);
    add("sdr_u", who.id);
    add("sdr_a", activity);
    add("sdr_m", module);
    add("sdr_odn", whose.name);
    addAll("sdr_o.", Object.assign({}, whose.attributes, own));
    addAll("sdr_u.", who.attributes);
    add("sdrurl", location.href);
    add("r", Math.random());
    add("sdr_heartbeat", state.period);
    add("sdr_heartbeat_idle", state.idleAfter);
    if (state.region && state.region !== "us") add("standin_region", state.region);
    var image = new Image(1, 1);
    image.src = PIXEL + "?" + params.join("&");
    return image;
  }

  function go(options) {
    options = options || {};
    if (options.service_id !== undefined) state.service = options.service_id;
    if (options.region !== undefined) state.region = options.region;
    if (options.allow_empty_accounts !== undefined) state.allowEmpty = Boolean(options.allow_empty_accounts);
    if (options.disable_heartbeat !== undefined) state.pings = !options.disable_heartbeat;
    if (options.heartbeat_timeout_sec !== undefined) state.period = Number(options.heartbeat_timeout_sec);
    if (options.heartbeat_idle_timeout_sec !== undefined) state.idleAfter = Number(options.heartbeat_idle_timeout_sec);
    state.account = merged(state.account, account(options.account));
    state.user = merged(state.user, user(options.user));
    if (!state.user.id && options.username) state.user.id = text(options.username);
    if (options.product !== undefined) state.product = product(options.product);
    if (options.parent !== undefined) state.parent = account(options.parent);
    state.module = options.module || (options.product && options.product.module);
    if (!state.user.id) return -2;
    startPinging();
    return 1;
  }

  function track(activity, module, org, person) {
    if (org !== undefined) state.account = merged(state.account, account(org));
    if (person !== undefined) state.user = merged(state.user, user(person));
    if (!state.user.id || (!state.account.id && !state.allowEmpty)) return null;
    if (!state.account.id) state.account.id = state.user.id;
    return send(activity, module || state.module);
  }

  function identify(org, person) {
    state.account = account(org);
    state.user = user(person);
    keep();
    return Object.keys(state.account.attributes).length && state.account.id ? send() : undefined;
  }

  function setAccountAttributes(org) {
    state.account = merged(state.account, account(org));
    if (state.account.id) return send();
    keep();
    return null;
  }

  function setUserAttributes(org, person) {
    state.account = merged(state.account, account(org));
    state.user = merged(state.user, user(person));
    if (state.account.id && state.user.id) return send();
    keep();
    return null;
  }

  function clear() {
    forget();
    document.cookie = COOKIE + "=; path=/; max-age=0";
  }

  function forget() {
    clearInterval(timer);
    timer = undefined;
    idle = false;
    state = {
      service: setUp.service_id,
      region: setUp.region,
      account: account(),
      user: user(),
      product: undefined,
      parent: undefined,
      module: undefined,
      allowEmpty: setUp.allow_empty_accounts !== false,
      pings: !setUp.disable_heartbeat,
      period: 60,
      idleAfter: 60,
    };
  }

  /* What identify() and attributes without an account leave for the next page. */
  function keep() {
    var kept = JSON.stringify({ account: state.account, user: state.user });
    document.cookie = COOKIE + "=" + encodeURIComponent(kept) + "; path=/; SameSite=Lax";
  }
  function restore() {
    var found = document.cookie.split("; ").filter(function (one) {
      return one.indexOf(COOKIE + "=") === 0;
    })[0];
    if (!found) return;
    try {
      var kept = JSON.parse(decodeURIComponent(found.slice(COOKIE.length + 1)));
      state.account = merged(kept.account, state.account);
      state.user = merged(kept.user, state.user);
    } catch (error) {
      clear();
    }
  }

  /* One ping at once, then one a period while somebody is there; after a rest, one with the first sign of life. */
  function startPinging() {
    if (!state.pings || !(state.period >= 30)) return;
    lastUsed = Date.now();
    ping();
    if (timer === undefined) timer = setInterval(pingIfUsed, state.period * 1000);
  }
  function pingIfUsed() {
    idle = Date.now() - lastUsed > state.idleAfter * 1000;
    if (!idle) ping();
  }
  function ping() {
    track(NAME_OF_PING, state.module || "__system");
  }
  SIGNS_OF_LIFE.forEach(function (sign) {
    document.addEventListener(
      sign,
      function () {
        lastUsed = Date.now();
        if (idle && timer !== undefined) {
          idle = false;
          ping();
        }
      },
      { passive: true, capture: true }
    );
  });

  window.__totango3 = function Totango() {};
  window[name] = {
    go: go,
    track: track,
    identify: identify,
    setAccountAttributes: setAccountAttributes,
    setUserAttributes: setUserAttributes,
    clear: clear,
  };
  restore();
  if (Object.keys(setUp).length) go(setUp);
  (window.totango_tmp_stack || []).splice(0).forEach(function (call) {
    track(call.activity, call.module, call.org, call.user);
  });
})();

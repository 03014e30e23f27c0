// In the place of what a phone has and Node has not: React, React Native and its native modules.
const phone = {
  appName: "Tests",
  appVersion: "1.0",
  buildNumber: "1",
  bundleId: "com.example.tests",
  locale: "en-US",
  networkType: "wifi",
  osName: "iOS",
  osVersion: "18.0",
  screenHeight: 800,
  screenWidth: 600,
  timezone: "Europe/Madrid",
  manufacturer: "Apple",
  model: "iPhone17,1",
  deviceName: "iPhone",
  deviceId: "5a3f",
  deviceType: "ios",
};

export const NativeModules = {
  AnalyticsReactNative: { getContextInfo: async () => phone },
  Sovran: { addListener() {}, removeListeners() {} },
};
export const Platform = { OS: "ios", select: (choices) => choices.ios ?? choices.default };
export const AppState = { addEventListener: () => ({ remove() {} }) };
export class NativeEventEmitter {
  addListener() {
    return { remove() {} };
  }
}

export const createContext = () => ({});
export const useContext = () => null;
export default { createContext, useContext, useMemo: (make) => make() };
